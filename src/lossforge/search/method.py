"""What a method of finding losses is, what it tells while it runs, and what it gives back."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Protocol, Self, final

from lossforge.errors import FileFormatError, unknown_name
from lossforge.losses import Loss
from lossforge.models import Model
from lossforge.search.problem import BaseTraining
from lossforge.tasks import Task

State = dict[str, Any]
"""Plain data: what JSON can hold."""


def finite_or_none(value: float) -> float | None:
    """Return a metric as JSON can hold it; None stands for infinity, the worst."""
    return value if math.isfinite(value) else None


def infinite_if_none(value: float | None) -> float:
    """Return what `finite_or_none` was given."""
    return math.inf if value is None else value


class Journal(Protocol):
    """Where a method reports to, and from where an interrupted run continues."""

    def restore(self) -> State | None:
        """Return the last checkpoint's state, None at a fresh start."""

    def checkpoint(self, state: State, entry: State) -> None:
        """Keep the state to resume from, and a line of history for people."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Hear how far the present stage has come."""


@final
class Silent:
    """A journal that keeps nothing."""

    def restore(self) -> State | None:
        """Return None: every run starts fresh."""
        return None

    def checkpoint(self, state: State, entry: State) -> None:
        """Keep nothing."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Say nothing."""


@final
@dataclass(frozen=True)
class FrontMember:
    """A loss that no other of the search beats in both size and validation metric.

    Attributes:
        loss: with its tuned coefficients.
        size: nodes of its expression.
        valid: its fitness.
    """

    loss: Loss
    size: int
    valid: float


@final
@dataclass(frozen=True)
class Found:
    """What a search gives back.

    Attributes:
        loss: the loss chosen on validation data; test data are not looked at.
        valid: its fitness: the validation metric after training for the fitness steps.
        evaluations: how many candidates were trained for a fitness.
        front: the Pareto front of fitness against size, the smallest first; empty where losses
            have no size.
        counts: what became of the candidates, by outcome.
    """

    loss: Loss
    valid: float
    evaluations: int
    front: tuple[FrontMember, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Method(BaseTraining, ABC):
    """A way of finding losses: a frozen dataclass of its hyper-parameters.

    The defaults are the paper's. The command line, a run's saved configuration and the documents
    are generated from the fields.
    """

    name: ClassVar[str]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}}
    round_name: ClassVar[str] = "generation"
    """what people call the stretch between two checkpoints"""

    @classmethod
    def preset(cls, name: str) -> Self:
        """Return the method with a preset's hyper-parameters.

        Raises:
            UnknownNameError: there is no such preset.
        """
        if name not in cls.presets:
            raise unknown_name(f"preset of {cls.name}", name, cls.presets)
        return replace(cls(), **cls.presets[name])

    def settings(self) -> State:
        """Return the hyper-parameters as plain data."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_settings(cls, settings: State) -> Self:
        """Return the method whose `settings` were saved.

        Raises:
            FileFormatError: they are not this method's.
        """
        if set(settings) != {item.name for item in fields(cls)}:
            raise FileFormatError(f"the saved settings are not those of {cls.name}; start anew")
        make: Callable[..., Self] = cls
        return make(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})

    @property
    @abstractmethod
    def rounds(self) -> int:
        """How many checkpoints a run writes, for estimates of the time left."""

    @abstractmethod
    def run(
        self,
        task: Task | Sequence[Task],
        model: Model = "mlp",
        seed: int = 0,
        *,
        journal: Journal | None = None,
    ) -> Found:
        """Search for a loss.

        Args:
            task: what networks train on; with several, fitness is averaged over them.
            model: which networks train: a name with options, or a factory.
            seed: the same seed gives the same result on the same machine, interrupted or not.
            journal: where to report to and resume from; by default nowhere.
        """
