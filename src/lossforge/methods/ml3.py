"""ML3: a loss that is a network, learned offline by hypergradients.

Source: Bechtle et al., "Meta-Learning via Learned Loss" (ICPR 2021); thesis, ch. 4.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

from lossforge.errors import LossforgeError
from lossforge.losses import ML3_NETWORK, Architecture, NeuralLoss, as_population
from lossforge.losses.neural import Activation
from lossforge.models import Model
from lossforge.randomness import derive_seed, torch_generator
from lossforge.search.fitness import Fitness
from lossforge.search.meta_training import Course, MetaTraining
from lossforge.search.method import (
    Found,
    Journal,
    Method,
    Silent,
    State,
    finite_or_none,
    infinite_if_none,
)
from lossforge.search.problem import Problem, kind_of, pose
from lossforge.tasks import Task
from lossforge.validation import require, require_in_range


@final
@dataclass(frozen=True)
class ML3(Method):
    """Meta-learning via learned loss: a network of (target, prediction), learned offline.

    Examples:
        >>> from lossforge.tasks import load
        >>> method = ML3(meta_steps=4, check_every=2, fitness_steps=10, hidden=(8,))
        >>> print(method.run(load("iris"), model="linear").loss)
        network 2-8-1, relu, softplus
    """

    name: ClassVar[str] = "ml3"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {
            "meta_steps": 1000,
            "horizons": (1, 50),
            "check_every": 100,
            "fitness_steps": 150,
            "patience": 10,
        },
    }
    round_name: ClassVar[str] = "check"

    meta_steps: int = 2500
    """meta steps"""
    meta_learning_rate: float = 1e-3
    """step size of Adam on the loss network's weights"""
    inner_steps: int = 1
    """steps of the base network in a meta step, K"""
    horizons: tuple[int, ...] = (1,)
    """meta steps that one network is trained through under the loss before a fresh one is taken; 1
    in the paper, where the loss never sees a trained network. With several, a loss is learned for
    each, and the one with the best check is kept"""
    hidden: tuple[int, ...] = ML3_NETWORK.hidden
    """widths of the loss network's hidden layers"""
    activation: Activation = ML3_NETWORK.activation
    """of the loss network's hidden layers"""
    check_every: int = 250
    """meta steps between checks of the loss on validation data"""
    fitness_steps: int = 500
    """steps of training before a check's metric is measured"""
    patience: int = 0
    """checks without improvement after which meta-training stops, and the best check's loss is
    taken; 0 never stops early and takes the last, as the paper does"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_in_range("meta_steps", self.meta_steps, 1)
        require_in_range("check_every", self.check_every, 1)
        require_in_range("patience", self.patience, 0)
        require(len(self.horizons) > 0, "horizons must name one or more")
        self._architecture()
        self._fitness()
        for horizon in self.horizons:
            self._training(horizon)
            require(
                self.check_every % horizon == 0,
                f"check_every must be a multiple of every horizon, and {self.check_every} is none "
                f"of {horizon}",
            )

    @property
    def rounds(self) -> int:
        """One a check."""
        return len(self.horizons) * math.ceil(self.meta_steps / self.check_every)

    def run(
        self,
        task: Task | Sequence[Task],
        model: Model = "mlp",
        seed: int = 0,
        *,
        journal: Journal | None = None,
    ) -> Found:
        """Learn a loss; see `Method.run`."""
        return _Learning(self, pose(task, model), seed, journal or Silent()).run()

    def _architecture(self) -> Architecture:
        return Architecture(self.hidden, self.activation)

    def _training(self, horizon: int) -> MetaTraining:
        return MetaTraining(
            self.meta_steps, self.meta_learning_rate, self.inner_steps, self, horizon=horizon
        )

    def _fitness(self) -> Fitness:
        return Fitness(self.fitness_steps, self)


@final
@dataclass
class _Attempt:
    """What became of one horizon: its checks, and the loss that would be taken."""

    checks: list[float] = field(default_factory=list)
    taken: list[list[float]] = field(default_factory=list)
    valid: float = math.inf
    is_over: bool = False


@final
class _Learning:
    """Meta-training with its checks, for one horizon after the other."""

    def __init__(self, settings: ML3, problems: Sequence[Problem], seed: int, journal: Journal):
        self._settings, self._problems = settings, problems
        self._seed, self._journal = seed, journal
        state = journal.restore()
        self._attempts = [_Attempt()]
        if state is not None:
            self._attempts = [_attempt(kept) for kept in state["attempts"]]
        self._course = self._begin()
        if state is not None:
            self._course.restore(state["course"])

    def run(self) -> Found:
        """Make the meta steps that are left, with a check after each stretch."""
        settings = self._settings
        while not self._attempts[-1].is_over or len(self._attempts) < len(settings.horizons):
            if self._attempts[-1].is_over:
                self._attempts.append(_Attempt())
                self._course = self._begin()
            steps = min(settings.check_every, settings.meta_steps - self._course.step)
            self._course.advance(steps, self._journal.progress)
            self._check(self._attempts[-1])
            self._journal.checkpoint(self._state(), self._entry())
        return self._found()

    def _begin(self) -> Course:
        loss = NeuralLoss(
            self._settings._architecture(),
            torch_generator(self._seed, "loss"),
            kind=kind_of(self._problems),
        )
        population = as_population([loss], self._problems[0].task.device)
        horizon = self._settings.horizons[len(self._attempts) - 1]
        seed = derive_seed(self._seed, "tuning")
        return self._settings._training(horizon).begin(population, self._problems, seed)

    def _check(self, attempt: _Attempt) -> None:
        seed = derive_seed(self._seed, "fitness")
        (trial,) = self._settings._fitness()(
            self._course.losses, self._problems, seed, self._journal.progress
        )
        attempt.checks.append(trial.fitness)
        if not self._settings.patience or trial.fitness <= min(attempt.checks):
            attempt.taken, attempt.valid = self._course.losses.coefficients.tolist(), trial.fitness
        attempt.is_over = self._course.step == self._settings.meta_steps or self._is_idle(attempt)

    def _is_idle(self, attempt: _Attempt) -> bool:
        patience = self._settings.patience
        if not patience:
            return False
        best = attempt.checks.index(min(attempt.checks))
        return len(attempt.checks) - 1 - best >= patience

    def _found(self) -> Found:
        best = min(self._attempts, key=lambda attempt: attempt.valid)
        if not math.isfinite(best.valid):
            raise LossforgeError(
                "networks diverged under the learned loss; lower learning_rate or "
                "meta_learning_rate, or set patience"
            )
        losses = self._course.losses
        taken = losses.with_coefficients(losses.coefficients.new_tensor(best.taken))
        horizon = self._settings.horizons[self._attempts.index(best)]
        counts = {"horizon": horizon} if len(self._attempts) > 1 else {}
        evaluations = sum(len(attempt.checks) for attempt in self._attempts)
        return Found(taken.loss(0).cpu(), best.valid, evaluations, counts=counts)

    def _entry(self) -> State:
        checks = [value for attempt in self._attempts for value in attempt.checks]
        return {
            "generation": len(checks),
            "best": finite_or_none(min(checks)),
            "counts": {"meta steps": self._course.step},
        }

    def _state(self) -> State:
        return {
            "course": self._course.state(),
            "attempts": [
                {
                    "checks": [finite_or_none(value) for value in attempt.checks],
                    "taken": attempt.taken,
                    "valid": finite_or_none(attempt.valid),
                    "is_over": attempt.is_over,
                }
                for attempt in self._attempts
            ],
        }


def _attempt(state: State) -> _Attempt:
    checks = [infinite_if_none(value) for value in state["checks"]]
    return _Attempt(checks, state["taken"], infinite_if_none(state["valid"]), state["is_over"])
