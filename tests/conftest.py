"""Fixtures and settings that all tests share."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from lossforge.searching import State

settings.register_profile(
    "lossforge", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lossforge")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Use one thread: tests are small, and threads wait for one another on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator, fresh for each test."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; tests that need it skip where it is missing."""
    root = Path(__file__).resolve().parents[1]
    candidates = [Path(os.environ["LOSSFORGE_DATA"])] if "LOSSFORGE_DATA" in os.environ else []
    for folder in [*candidates, root.parent / "shared" / "data"]:
        if folder.is_dir():
            return folder
    pytest.skip("real data are missing: set LOSSFORGE_DATA to the folder that holds them")


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
