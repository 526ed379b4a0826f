"""A bar with the time left, on a terminal; now and then a line, elsewhere."""

import time
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 30


@final
class Meter:
    """Shows how far a training has come.

    Args:
        title: told at the beginning.
    """

    def __init__(self, title: str):
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._bar = self._bars.add_task("starting", total=1)
        self._stage, self._began, self._first = "", time.monotonic(), 0
        self._spoke = time.monotonic()
        self._console.print(title, soft_wrap=True)

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

    def tell(self, line: str) -> None:
        """Print a line."""
        self._console.print(line, soft_wrap=True)
        self._spoke = time.monotonic()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Tell how far a stage has come."""
        if stage != self._stage:
            self._stage, self._began, self._first = stage, time.monotonic(), done - 1
            self._bars.reset(self._bar, description=stage, total=total, completed=done)
        self._bars.update(self._bar, completed=done)
        if not self._live and time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            pace = (time.monotonic() - self._began) / max(done - self._first, 1)
            self.tell(f"  {stage}: {done}/{total}, {pace * (total - done):.0f} s left")
