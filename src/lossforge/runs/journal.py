"""A journal that writes checkpoints into a run and reports progress to a listener."""

from typing import Protocol, final

from lossforge.methods import State
from lossforge.runs.memory import Run


class Listener(Protocol):
    """Receives a run's progress."""

    def generation(self, entry: State) -> None:
        """Receive a line of history."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Receive progress of the current stage."""


@final
class RunJournal:
    """The journal of a run.

    Args:
        run: where checkpoints go.
        listener: receives progress.
    """

    def __init__(self, run: Run, listener: Listener):
        self._run, self._listener = run, listener

    def restore(self) -> State | None:
        """Return the last checkpoint's state, None at a fresh start."""
        state = self._run.restore()
        for entry in self._run.history[-1:]:
            self._listener.generation(entry)
        return state

    def checkpoint(self, state: State, entry: State) -> None:
        """Write the state to resume from, and report it."""
        self._run.checkpoint(state, entry)
        self._listener.generation(entry)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Report progress of the current stage."""
        self._listener.progress(stage, done, total)
