"""Progress of long work on standard error: a bar on a terminal, elsewhere a line now and then."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, final

SECONDS_BETWEEN_LINES = 30
"""where there is no terminal to redraw"""

SECONDS_OF_PACE = 600
"""the time left is estimated from the pace of the last so many seconds"""

SHARES = {"tuning": (0.0, 0.5), "training": (0.5, 0.5)}
"""of a search's round: roughly where a stage begins and how long it is"""

OUTCOMES = ("equal in form", "equal in gradient", "rejected", "stopped", "diverged")
"""of candidates that were not trained in full, in the order in which they are listed"""


@final
class ProgressReporter:
    """Shows progress; use it as a context manager.

    It is also a `Journal` for a search that keeps nothing:
    ``with ProgressReporter(...) as journal: method.run(task, journal=journal)``.

    Args:
        title: printed at the start.
        shown: False shows nothing at all.
        rounds: how many rounds a search has; 0 for work without rounds.
        round_name: what a round is called.

    Examples:
        >>> with ProgressReporter("training", shown=False) as reporter:
        ...     reporter.progress("training", 1, 10)
    """

    def __init__(
        self, title: str, *, shown: bool = True, rounds: int = 0, round_name: str = "generation"
    ):
        self._shown, self._rounds, self._round_name = shown, rounds, round_name
        self._round, self._stage = 0, ""
        if not shown:
            return
        # On use: an import of the package should not wait for rich.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False, markup=False, force_jupyter=False)
        self._live = self._console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
            speed_estimate_period=SECONDS_OF_PACE,
            get_time=time.monotonic,
        )
        self._bar = self._bars.add_task("starting", total=1, count="")
        self.tell(title)

    def __enter__(self) -> Self:
        if self._shown:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._bars.stop()

    def restore(self) -> None:
        """Return None: as a journal of a search, it keeps no checkpoints."""

    def checkpoint(self, state: dict[str, Any], entry: dict[str, Any]) -> None:
        """Show a line of history, as a journal of a search that keeps no checkpoints."""
        self.generation(entry)

    def tell(self, line: str) -> None:
        """Print a line."""
        if self._shown:
            self._console.print(line, soft_wrap=True)
            self._last_line = time.monotonic()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Receive progress of the current stage."""
        if not self._shown:
            return
        if self._rounds and stage in SHARES:
            begin, share = SHARES[stage]
            name = f"{self._round_name} {self._round + 1}/{self._rounds}: {stage}"
            position = self._round + begin + share * done / total
            self._move(self._round_name, name, position, self._rounds, "", self._round)
        else:
            self._move(stage, stage, done, total, f"{done}/{total}", done - 1)
        if not self._live and time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self.tell(f"  {self._bars.tasks[0].description} {done}/{total}, {self._left()} left")

    def generation(self, entry: dict[str, Any]) -> None:
        """Receive the history's line about a round of a search."""
        self._round = entry["generation"]
        if not self._shown:
            return
        best = "none yet" if entry["best"] is None else f"{entry['best']:.4g}"
        left = ""
        if self._round < self._rounds and self._stage == self._round_name:
            self._bars.update(self._bar, completed=self._round)
            left = f"; {self._left()} left"
        counts = _describe_counts(entry["counts"])
        self.tell(f"{self._round_name} {self._round}/{self._rounds}: best {best}{counts}{left}")

    def _move(
        self, stage: str, name: str, position: float, total: float, count: str, begun: int
    ) -> None:
        if stage != self._stage:
            # The pace of another stage says nothing about this one.
            self._stage = stage
            self._bars.reset(self._bar, total=total, completed=max(begun, 0))
        self._bars.update(self._bar, description=name, completed=position, count=count)

    def _left(self) -> str:
        seconds = self._bars.tasks[0].time_remaining
        if seconds is None:
            return "?"
        minutes, seconds = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def stage_of(reporter: ProgressReporter, stage: str) -> Callable[[int, int], None]:
    """Return a callback for the progress of one stage."""

    def report(done: int, total: int) -> None:
        reporter.progress(stage, done, total)

    return report


def _describe_counts(counts: dict[str, int]) -> str:
    """Return what became of the candidates so far, where there are some to count."""
    if "candidates" not in counts:
        return ""
    others = ", ".join(f"{counts[what]} {what}" for what in OUTCOMES if counts.get(what))
    return (
        f"; {counts['candidates']} candidates, {counts.get('in full', 0)} trained in full"
        f"{f' ({others})' if others else ''}"
    )
