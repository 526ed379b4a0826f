"""Where a search reports to, where it resumes from, and the plain data that it keeps."""

from collections.abc import Callable
from typing import Any, Protocol, final

State = dict[str, Any]
"""plain data: what JSON can hold"""

Progress = Callable[[str, int, int], None]
"""receives a stage's name, how many of its steps are done, and how many there are"""


class Journal(Protocol):
    """Where a search reports to, and from where an interrupted one continues."""

    def restore(self) -> State | None:
        """Return the last checkpoint's state, None at a fresh start."""

    def checkpoint(self, state: State, entry: State) -> None:
        """Keep the state to resume from, and a line of history for people."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Receive progress of the current stage."""


@final
class NullJournal:
    """A journal that keeps nothing."""

    def restore(self) -> State | None:
        """Return None: every run starts fresh."""
        return None

    def checkpoint(self, state: State, entry: State) -> None:
        """Keep nothing."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Ignore progress."""
