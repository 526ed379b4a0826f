"""What tests of methods share."""

import json
from collections.abc import Callable

import pytest

from lossforge.methods import State


class InterruptedRunError(Exception):
    """Stands for the end of a process."""


class Memory:
    """A journal that keeps every checkpoint as JSON, and may stop the run at one."""

    def __init__(self, restored: str | None = None, stop_after: int | None = None):
        self.restored, self.stop_after = restored, stop_after
        self.checkpoints: list[str] = []
        self.entries: list[State] = []
        self.stages: list[tuple[str, int, int]] = []

    def restore(self) -> State | None:
        return None if self.restored is None else json.loads(self.restored)

    def checkpoint(self, state: State, entry: State) -> None:
        self.checkpoints.append(json.dumps(state, allow_nan=False))
        self.entries.append(json.loads(json.dumps(entry, allow_nan=False)))
        if len(self.checkpoints) == self.stop_after:
            raise InterruptedRunError

    def progress(self, stage: str, done: int, total: int) -> None:
        self.stages.append((stage, done, total))


@pytest.fixture
def memory() -> Callable[..., Memory]:
    """A journal in memory."""
    return Memory
