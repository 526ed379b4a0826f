"""ML3: a loss that is a network, learned offline by hypergradients.

Source: Bechtle et al., "Meta-Learning via Learned Loss" (ICPR 2021), Algorithm 1; thesis, ch. 4.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

from lossforge.files import finite_or_none, infinite_if_none
from lossforge.losses import ML3_NETWORK, Architecture, Loss, NeuralLoss, as_population
from lossforge.losses.neural import Activation
from lossforge.randomness import torch_generator
from lossforge.searching import (
    Archive,
    BaseTraining,
    Evaluation,
    Fitness,
    MetaTrainer,
    MetaTraining,
    Method,
    SearchContext,
    State,
)
from lossforge.validation import require, require_in_range


@final
@dataclass
class Attempt:
    """The checks of one horizon.

    Attributes:
        checks: the metric on validation data at each check.
        is_over: whether its meta-training has ended.
    """

    checks: list[float] = field(default_factory=list)
    is_over: bool = False


@final
@dataclass
class Learning:
    """The state between checks: attempts so far, and the meta-training of the last one."""

    attempts: list[Attempt]
    trainer: MetaTrainer


@final
@dataclass(frozen=True)
class ML3(Method[Learning, Loss]):
    """Meta-learning via learned loss: a network of (target, prediction), learned offline.

    Raises:
        ConfigurationError: a number is out of its range.

    Examples:
        >>> from lossforge.tasks import load
        >>> method = ML3(meta_steps=4, check_every=2, fitness_steps=10, hidden=(8,))
        >>> print(method.run(load("iris"), model="linear").loss)
        network 2-8-1, relu, softplus
    """

    name: ClassVar[str] = "ml3"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"meta_steps": 250},
        "quick": {
            "meta_steps": 1000,
            "horizons": (1, 50),
            "check_every": 100,
            "fitness_steps": 150,
            "patience": 10,
        },
    }
    round_name: ClassVar[str] = "check"
    remedy: ClassVar[str] = "lower learning_rate or meta_learning_rate, or set patience"

    base: BaseTraining = BaseTraining()
    """training of networks under the loss"""
    meta_steps: int = 2500
    """meta steps, updates of the loss network's weights"""
    meta_learning_rate: float = 1e-3
    """learning rate of Adam on the loss network's weights"""
    inner_steps: int = 1
    """training steps of the base network in a meta step, K"""
    horizons: tuple[int, ...] = (1,)
    """meta steps for which one network is trained on under the loss before a new one is
    initialized; 1 in the paper, where the loss never sees a trained network. With several values, a
    loss is learned for each, and the one with the best check is kept"""
    task_loss: str = ""
    """loss that meta-training lowers on validation data, such as calibrated_cross_entropy; by
    default cross_entropy or mse, as in the paper"""
    hidden: tuple[int, ...] = ML3_NETWORK.hidden
    """widths of the loss network's hidden layers"""
    activation: Activation = ML3_NETWORK.activation
    """activation of the loss network's hidden layers"""
    check_every: int = 250
    """meta steps between checks of the loss: trainings whose metric is measured on validation
    data"""
    fitness_steps: int = 500
    """training steps of a check"""
    patience: int = 0
    """checks without improvement after which meta-training stops, and the loss of the best check is
    taken; 0 never stops early and takes the last loss, as the paper does"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_in_range("meta_steps", self.meta_steps, 1)
        require_in_range("check_every", self.check_every, 1)
        require_in_range("patience", self.patience, 0)
        require(len(self.horizons) > 0, "horizons must name one or more")
        self._architecture()
        self.fitness  # noqa: B018  # checks its own settings
        for horizon in self.horizons:
            self._tuning(horizon)
            require(
                self.check_every % horizon == 0,
                f"check_every must be a multiple of every horizon, and {self.check_every} is none "
                f"of {horizon}",
            )

    @property
    def rounds(self) -> int:
        """One for each check."""
        return len(self.horizons) * math.ceil(self.meta_steps / self.check_every)

    @property
    def fitness(self) -> Fitness:
        """A check's training."""
        return Fitness(self.fitness_steps, racing=False)

    def init(self, context: SearchContext) -> Learning:
        """Return the state before the first meta step of the first horizon."""
        return Learning([Attempt()], self._begin(0, context))

    def ask(self, state: Learning, context: SearchContext) -> list[Loss]:
        """Make the meta steps up to the next check, and return the loss as it is then."""
        if state.attempts[-1].is_over:
            state.attempts.append(Attempt())
            state.trainer = self._begin(len(state.attempts) - 1, context)
        # Algorithm 1: phi <- phi - eta dT/dphi, where theta took K steps under the loss.
        left = self.meta_steps - state.trainer.step
        state.trainer.advance(min(self.check_every, left), context.progress)
        return [state.trainer.losses.loss(0)]

    def decode(self, candidate: Loss, context: SearchContext) -> Loss:
        """Return the candidate, which is a loss already."""
        return candidate

    def tell(
        self, state: Learning, candidates: Sequence[Loss], evaluations: Sequence[Evaluation]
    ) -> None:
        """Note the check, and whether it was the horizon's last."""
        attempt = state.attempts[-1]
        attempt.checks += [evaluation.fitness for evaluation in evaluations]
        best = attempt.checks.index(min(attempt.checks))
        is_idle = 0 < self.patience <= len(attempt.checks) - 1 - best
        attempt.is_over = is_idle or state.trainer.step == self.meta_steps

    def is_done(self, state: Learning) -> bool:
        """Return whether the last horizon is over."""
        return state.attempts[-1].is_over and len(state.attempts) == len(self.horizons)

    def rank(self, state: Learning, archive: Archive) -> list[Evaluation]:
        """Return the loss that each horizon learned, the best first."""
        taken = [evaluations[-1] for evaluations in self._by_horizon(state, archive)]
        if self.patience:
            # Of equal checks the latest.
            taken = [
                min(reversed(evaluations), key=lambda each: each.fitness)
                for evaluations in self._by_horizon(state, archive)
            ]
        complete = [evaluation for evaluation in taken if evaluation.is_complete]
        return sorted(complete, key=lambda each: each.fitness)

    def counts(self, state: Learning, archive: Archive) -> dict[str, int]:
        """Return the meta steps of the last horizon, and the best horizon if there are several."""
        counts = {"meta steps": state.trainer.step}
        if len(state.attempts) > 1 and (ranked := self.rank(state, archive)):
            by_horizon = self._by_horizon(state, archive)
            index = next(i for i, some in enumerate(by_horizon) if ranked[0] in some)
            counts["horizon"] = self.horizons[index]
        return counts

    def save(self, state: Learning) -> State:
        """Return the state as plain data."""
        attempts = [
            [[finite_or_none(value) for value in attempt.checks], attempt.is_over]
            for attempt in state.attempts
        ]
        return {"attempts": attempts, "trainer": state.trainer.state()}

    def load(self, saved: State, context: SearchContext) -> Learning:
        """Return the state that was saved."""
        attempts = [
            Attempt([infinite_if_none(value) for value in checks], is_over)
            for checks, is_over in saved["attempts"]
        ]
        state = Learning(attempts, self._begin(len(attempts) - 1, context))
        state.trainer.restore(saved["trainer"])
        return state

    def _begin(self, index: int, context: SearchContext) -> MetaTrainer:
        """Return meta-training of a new loss network, with the horizon of that index."""
        loss = NeuralLoss(
            self._architecture(), torch_generator(context.root_seed, "loss"), kind=context.kind
        )
        return self._tuning(self.horizons[index]).begin(
            as_population([loss], context.device),
            context.problems,
            self.base,
            context.seed("tuning"),
        )

    def _by_horizon(self, state: Learning, archive: Archive) -> list[list[Evaluation]]:
        """Return the evaluations of each attempt."""
        left = iter(archive.evaluations)
        return [[next(left) for _ in attempt.checks] for attempt in state.attempts]

    def _architecture(self) -> Architecture:
        return Architecture(self.hidden, self.activation)

    def _tuning(self, horizon: int) -> MetaTraining:
        return MetaTraining(
            self.meta_steps, self.meta_learning_rate, self.inner_steps, horizon, self.task_loss
        )
