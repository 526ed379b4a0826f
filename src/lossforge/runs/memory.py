"""A run that is kept in memory, for experiments from Python that write nothing."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, final

from torch import Tensor

from lossforge.losses import Loss
from lossforge.runs.watcher import Watcher
from lossforge.searching import State


class Run(Protocol):
    """A run, on disk or in memory; see `RunFolder` for what its methods do."""

    history: list[State]

    @property
    def path(self) -> Path | None:
        """The folder; None for a run in memory."""

    @property
    def config(self) -> State:
        """The configuration that the run was begun with."""

    @property
    def seconds(self) -> float:
        """How long the run has taken so far, without interruptions."""

    def release(self) -> None:
        """Let other processes work on this run."""

    def watch(self, watcher: Watcher) -> None:
        """Let a watcher receive what is written from now on."""

    def write_progress(self, event: State) -> None:
        """Write what is being done, for people who watch."""

    def restore(self) -> State | None:
        """Return the last checkpoint's state, None where there is none."""

    def checkpoint(self, state: State, entry: State) -> None:
        """Write the state to resume from, and the history with one more line."""

    def checkpoint_bytes(self, state: bytes, history: list[State]) -> None:
        """Write the state to resume from where it is tensors, and the whole history."""

    def restore_bytes(self) -> bytes | None:
        """Return the last checkpoint's tensors, None where there are none."""

    def child(self, name: str, config: State) -> "Run":
        """Return a run inside this one."""

    def child_result(self, name: str, config: State) -> State | None:
        """Return the results of a run inside this one, None where it is not complete."""

    def write_loss(self, loss: Loss) -> None:
        """Write the loss that was found."""

    @property
    def loss(self) -> Loss | None:
        """The loss that was found."""

    def write_learner(self, learner: bytes) -> None:
        """Write the weights of a few-shot learner."""

    @property
    def learner(self) -> bytes | None:
        """The weights of a few-shot learner."""

    def write_model(self, weights: Mapping[str, Tensor], about: State) -> None:
        """Write the weights of a trained network."""

    def write_result(self, result: State) -> None:
        """Write the results, which completes the run."""

    @property
    def result(self) -> State | None:
        """The results, None while the run is not complete."""


@final
class MemoryRun:
    """A run that ends with the process.

    Args:
        config: of the run, as plain data.
    """

    path: Path | None = None

    def __init__(self, config: State):
        self.config, self.history = config, list[State]()
        self.loss: Loss | None = None
        self.learner: bytes | None = None
        self.result: State | None = None
        self._began = time.monotonic()
        self._watchers: list[Watcher] = []

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.monotonic() - self._began

    def release(self) -> None:
        """Do nothing: no other process knows of this run."""

    def watch(self, watcher: Watcher) -> None:
        """Let a watcher receive what is written from now on."""
        self._watchers.append(watcher)

    def write_progress(self, event: State) -> None:
        """Do nothing: no other process can watch this run."""

    def restore(self) -> State | None:
        """Return None: nothing is left of earlier processes."""
        return None

    def checkpoint(self, state: State, entry: State) -> None:
        """Keep the history with one more line."""
        self.history = [*self.history, entry | {"seconds": round(self.seconds, 3)}]
        for watcher in self._watchers:
            watcher.entry(len(self.history), self.history[-1])

    def checkpoint_bytes(self, state: bytes, history: list[State]) -> None:
        """Keep the history."""
        self.history = history
        for watcher in self._watchers:
            watcher.entry(len(history), history[-1])

    def restore_bytes(self) -> bytes | None:
        """Return None: nothing is left of earlier processes."""
        return None

    def child(self, name: str, config: State) -> "MemoryRun":
        """Return a new run."""
        return MemoryRun(config)

    def child_result(self, name: str, config: State) -> State | None:
        """Return None: nothing is left of earlier processes."""
        return None

    def write_loss(self, loss: Loss) -> None:
        """Keep the loss that was found."""
        self.loss = loss

    def write_learner(self, learner: bytes) -> None:
        """Keep the weights of a few-shot learner."""
        self.learner = learner

    def write_model(self, weights: Mapping[str, Tensor], about: State) -> None:
        """Do nothing: the report has the network."""

    def write_result(self, result: State) -> None:
        """Keep the results as they would be read from a file."""
        self.result = json.loads(json.dumps(result, allow_nan=False))
        for watcher in self._watchers:
            watcher.result(result)
