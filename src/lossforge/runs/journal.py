"""A journal that keeps checkpoints in a run's folder and tells a listener how it goes."""

from typing import Protocol, final

from lossforge.methods import State
from lossforge.runs.folder import RunFolder


class Listener(Protocol):
    """Who hears of a run's progress."""

    def generation(self, entry: State) -> None:
        """Hear a line of history."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Hear how far the present stage has come."""


@final
class RunJournal:
    """The journal of a run on disk.

    Args:
        folder: where checkpoints go.
        listener: who hears of progress.
    """

    def __init__(self, folder: RunFolder, listener: Listener):
        self._folder, self._listener = folder, listener

    def restore(self) -> State | None:
        """Return the last checkpoint's state, None at a fresh start."""
        state = self._folder.restore()
        for entry in self._folder.history[-1:]:
            self._listener.generation(entry)
        return state

    def checkpoint(self, state: State, entry: State) -> None:
        """Keep the state to resume from, and tell of it."""
        self._folder.checkpoint(state, entry)
        self._listener.generation(entry)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Pass on how far the present stage has come."""
        self._listener.progress(stage, done, total)
