"""Progress of long work on standard error: a bar, a line now and then, or JSON for programs."""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Self, final

SECONDS_BETWEEN_LINES = 30
"""where there is no terminal to redraw"""

SECONDS_BETWEEN_EVENTS = 1
"""of progress, for programs"""

SECONDS_OF_PACE = 600
"""the time left is estimated from the pace of the last so many seconds"""

SHARES = {"tuning": (0.0, 0.5), "training": (0.5, 0.5)}
"""of a search's round: roughly where a stage begins and how long it is"""

OUTCOMES = ("equal in form", "equal in gradient", "rejected", "stopped", "diverged")
"""of candidates that were not trained in full, in the order in which they are listed"""

Shown = bool | Literal["json"]
"""whether progress is shown, and whether as one JSON object a line, for programs"""

Plan = Sequence[tuple[str, float]]
"""the stages of a whole run: the beginning of each one's name, and how much work it is in a unit
that all stages share, such as training steps"""


@final
class ProgressReporter:
    """Shows progress; use it as a context manager.

    It is also a `Journal` for a search that keeps nothing:
    ``with ProgressReporter(...) as journal: method.run(task, journal=journal)``.

    Args:
        title: printed at the start.
        shown: False shows nothing at all; "json" writes events for programs.
        rounds: how many rounds a search has; 0 for work without rounds.
        round_name: what a round is called.
        plan: of the whole run, so that the time left is that of all its stages; by default it is
            that of the present stage.
        listener: receives each event as plain data, at most one a second about progress.

    Examples:
        >>> with ProgressReporter("training", shown=False) as reporter:
        ...     reporter.progress("training", 1, 10)
    """

    def __init__(
        self,
        title: str,
        *,
        shown: Shown = True,
        rounds: int = 0,
        round_name: str = "generation",
        plan: Plan = (),
        listener: Callable[[dict[str, Any]], None] | None = None,
    ):
        self._rounds, self._round_name = rounds, round_name
        self._round = 0
        self._course: _Course | _Parts = _Course(plan)
        self._listener = listener
        self._last_event = -float("inf")
        self._display: _Display | None = None
        if shown == "json":
            self._listener = _both(_write_json, listener)
        elif shown:
            self._display = _Display()
        self.tell(title)

    def __enter__(self) -> Self:
        if self._display is not None:
            self._display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._display is not None:
            self._display.stop()

    def restore(self) -> None:
        """Return None: as a journal of a search, it keeps no checkpoints."""

    def checkpoint(self, state: dict[str, Any], entry: dict[str, Any]) -> None:
        """Show a line of history, as a journal of a search that keeps no checkpoints."""
        self.generation(entry)

    def tell(self, line: str) -> None:
        """Print a line."""
        if self._display is not None:
            self._display.tell(line)
        if self._listener is not None:
            self._listener({"event": "line", "text": line})

    def part(self, done: int, total: int) -> None:
        """Note that so many of a number of similar parts of the whole work are done.

        Progress that is reported from here on belongs to the next part. The time left is that of
        all parts, at the pace of those that were seen from beginning to end.
        """
        if not isinstance(self._course, _Parts):
            self._course = _Parts(done)
        self._course.reach(done, total)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Receive progress of the current stage."""
        if self._rounds and stage in SHARES:
            begin, share = SHARES[stage]
            name = f"{self._round_name} {self._round + 1}/{self._rounds}: {stage}"
            position = self._round + begin + share * done / total
            self._course.move(self._round_name, position, self._rounds, self._round)
            count = ""
        else:
            name, count = stage, f"{done}/{total}"
            self._course.move(stage, done, total, done - 1)
        if self._display is not None:
            self._display.show(name, count, self._course)
            self._display.tell_now_and_then(
                f"  {name} {done}/{total}, {_duration(self._course.seconds_left)} left"
            )
        if self._listener is not None:
            self._event(name, done, total)

    def generation(self, entry: dict[str, Any]) -> None:
        """Receive the history's line about a round of a search."""
        self._round = entry["generation"]
        if self._listener is not None:
            self._listener({"event": "round", "rounds": self._rounds, **entry})
        if self._display is None:
            return
        best = "none yet" if entry["best"] is None else f"{entry['best']:.4g}"
        left = ""
        if self._round < self._rounds and self._course.stage == self._round_name:
            self._course.move(self._round_name, self._round, self._rounds, self._round)
            left = f"; {_duration(self._course.seconds_left)} left"
        counts = _describe_counts(entry["counts"])
        self._display.tell(
            f"{self._round_name} {self._round}/{self._rounds}: best {best}{counts}{left}"
        )

    def _event(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self._listener is None or now - self._last_event < SECONDS_BETWEEN_EVENTS:
            return
        self._last_event = now
        left = self._course.seconds_left
        self._listener(
            {
                "event": "progress",
                "stage": stage,
                "done": done,
                "total": total,
                "share": round(self._course.share, 4),
                "seconds_left": None if left is None else round(left, 1),
            }
        )


@final
class _Course:
    """How far work has come, and how long it still takes.

    Attributes:
        stage: the present one.
    """

    def __init__(self, plan: Plan):
        self._plan, self.stage = tuple(plan), ""
        self._index, self._position, self._total = 0, 0.0, 1.0
        self._worked = 0.0
        self._samples: deque[tuple[float, float]] = deque()

    @property
    def position(self) -> float:
        """How much is done."""
        return self._position

    @property
    def total(self) -> float:
        """How much there is to do."""
        return self._total

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return min(1.0, self._position / self._total)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at the present pace; None where that is not known."""
        if len(self._samples) < 2:
            return None
        (began, first), (now, last) = self._samples[0], self._samples[-1]
        if now <= began or last <= first:
            return None
        return (self._total - self._position) * (now - began) / (last - first)

    def move(self, stage: str, done: float, total: float, begun: float) -> None:
        """Note how far a stage has come.

        Args:
            stage: its name.
            done: how much of it is done.
            total: how much it is.
            begun: how much of it was done before this process saw any of it.
        """
        before = self._position
        if stage != self.stage or self._is_repeated(done, total):
            self._begin(stage)
            before = self._place(max(begun, 0.0), total)
        self._position = max(self._place(done, total), before)
        self._note(self._position - before)

    def _is_repeated(self, done: float, total: float) -> bool:
        """Return whether a stage of this name has begun anew, such as another training."""
        return not self._plan and (done < self._position or max(total, 1e-9) != self._total)

    def _begin(self, stage: str) -> None:
        self.stage = stage
        later = [i for i in range(self._index, len(self._plan)) if self._is(i, stage)]
        if later:
            self._index = later[0]
        elif not self._plan:
            # The pace of another stage says nothing about this one.
            self._samples.clear()

    def _is(self, index: int, stage: str) -> bool:
        return stage.startswith(self._plan[index][0])

    def _place(self, done: float, total: float) -> float:
        """Return a position within the whole, and note how long that is."""
        if not self._plan:
            self._total = max(total, 1e-9)
            return done
        self._total = sum(work for _, work in self._plan)
        before = sum(work for _, work in self._plan[: self._index])
        if not self._is(self._index, self.stage):
            return max(before, self._position)  # a stage that is not in the plan
        return before + self._plan[self._index][1] * done / max(total, 1e-9)

    def _note(self, work: float) -> None:
        now = time.monotonic()
        self._worked += work
        self._samples.append((now, self._worked))
        while len(self._samples) > 2 and now - self._samples[0][0] > SECONDS_OF_PACE:
            self._samples.popleft()


@final
class _Parts:
    """How many of similar parts of a whole are done, and how long the rest takes.

    Args:
        done: how many were done before this process saw any of them.
    """

    def __init__(self, done: int):
        self.stage, self.position, self.total = "", float(done), 1.0
        self._begun, self._seen = time.monotonic(), float(done)
        self._reached = self._begun

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return min(1.0, self.position / self.total)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at the mean pace so far; None before a part was seen whole."""
        if self.position <= self._seen:
            return None
        each = (self._reached - self._begun) / (self.position - self._seen)
        present = min(time.monotonic() - self._reached, each)
        return max(0.0, each * (self.total - self.position) - present)

    def reach(self, done: int, total: int) -> None:
        """Note how many parts are done."""
        self.position, self.total, self._reached = float(done), max(total, 1e-9), time.monotonic()

    def move(self, stage: str, done: float, total: float, begun: float) -> None:
        """Note which stage of a part is at work; how far it is says little about the whole."""
        self.stage = stage


@final
class _Display:
    """A bar on a terminal, elsewhere a line now and then."""

    def __init__(self) -> None:
        # On use: an import of the package should not wait for rich.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(stderr=True, highlight=False, markup=False, force_jupyter=False)
        self._live = self._console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            console=self._console,
            transient=True,
            disable=not self._live,
            get_time=time.monotonic,
        )
        self._bar = self._bars.add_task("starting", total=1, count="", left="")
        self._last_line = time.monotonic()

    def start(self) -> None:
        self._bars.start()

    def stop(self) -> None:
        self._bars.stop()

    def tell(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)
        self._last_line = time.monotonic()

    def tell_now_and_then(self, line: str) -> None:
        """Print a line where there is no bar, and none was printed for a while."""
        if not self._live and time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self.tell(line)

    def show(self, name: str, count: str, course: _Course | _Parts) -> None:
        """Redraw the bar."""
        if self._live:
            self._bars.update(
                self._bar,
                description=name,
                completed=course.position,
                total=course.total,
                count=count,
                left=_duration(course.seconds_left),
            )


def stage_of(reporter: ProgressReporter, stage: str) -> Callable[[int, int], None]:
    """Return a callback for the progress of one stage."""

    def report(done: int, total: int) -> None:
        reporter.progress(stage, done, total)

    return report


def _both(
    first: Callable[[dict[str, Any]], None], second: Callable[[dict[str, Any]], None] | None
) -> Callable[[dict[str, Any]], None]:
    def receive(event: dict[str, Any]) -> None:
        first(event)
        if second is not None:
            second(event)

    return receive


def _write_json(event: dict[str, Any]) -> None:
    print(json.dumps(event), file=sys.stderr, flush=True)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"


def _describe_counts(counts: dict[str, int]) -> str:
    """Return what became of the candidates so far, where there are some to count."""
    if "candidates" not in counts:
        return ""
    others = ", ".join(f"{counts[what]} {what}" for what in OUTCOMES if counts.get(what))
    return (
        f"; {counts['candidates']} candidates, {counts.get('in full', 0)} trained in full"
        f"{f' ({others})' if others else ''}"
    )
