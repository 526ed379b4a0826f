"""What a person sees while a search runs: where it stands, what it found, how long it will take."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from lossforge.searching import Method, State

SHARES = {"tuning": (0.0, 0.5), "training": (0.5, 0.5)}
"""of a generation: where a stage begins and how long it is, roughly"""

SPARED = ("equal in form", "equal in gradient", "rejected", "stopped", "diverged")
"""outcomes that spared training, in the order in which they are told"""

SECONDS_BETWEEN_LINES = 30
"""where there is no terminal to redraw"""


@final
class Narrator:
    """Live progress on a terminal; elsewhere a line a generation and now and then one between.

    Args:
        method: that runs.
        config: of the run.
        path: of its folder.
    """

    def __init__(self, method: Method[Any, Any], config: State, path: Path):
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._generations, self._name = method.rounds, method.round_name
        self._clock = _Clock(self._generations)
        self._generation = 0
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._bar = self._bars.add_task("starting", total=self._generations, note="")
        self._spoke = time.monotonic()
        self._console.print(
            f"{config['method']} on {config['task']} with {config['model']}, "
            f"seed {config['seed']}, preset {config['preset']}; the run is {path}",
            soft_wrap=True,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def generation(self, entry: State) -> None:
        """Tell what a generation brought."""
        self._generation = entry["generation"]
        best = "none yet" if entry["best"] is None else f"{entry['best']:.4g}"
        self._console.print(
            f"{self._name} {self._generation}/{self._generations}: best {best}"
            f"{_told(entry['counts'])}; {self._clock.left(self._generation)} left",
            soft_wrap=True,
        )
        self._spoke = time.monotonic()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Tell how far the present stage has come."""
        if stage in SHARES:
            begin, share = SHARES[stage]
            position = self._generation + begin + share * done / total
            self._bars.update(
                self._bar,
                description=f"{self._name} {self._generation + 1}/{self._generations}: {stage}",
                completed=position,
                note=f"{self._clock.left(position)} left",
            )
        else:
            self._bars.update(
                self._bar, description=stage, total=total, completed=done, note=f"{done}/{total}"
            )
        if not self._live and time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._console.print(f"  {stage}: {done}/{total}")
            self._spoke = time.monotonic()


def _told(counts: State) -> str:
    """Return what became of the candidates so far, where there are some to count."""
    if "candidates" not in counts:
        return ""
    spared = ", ".join(f"{counts[what]} {what}" for what in SPARED if counts.get(what))
    return (
        f"; {counts['candidates']} candidates, {counts.get('in full', 0)} trained in full"
        f"{f' ({spared})' if spared else ''}"
    )


@final
class _Clock:
    """Estimates the time left from the generations done in this process."""

    def __init__(self, total: float):
        self._total, self._began = total, time.monotonic()
        self._first: float | None = None

    def left(self, position: float) -> str:
        """Return the time left at a position from 0 to the total, as minutes and seconds."""
        if self._first is None:
            self._first = float(int(position))
        done = position - self._first
        if done < 0.1:
            return "?"
        seconds = (time.monotonic() - self._began) / done * (self._total - position)
        minutes, seconds = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
