"""Offline meta-training: a loss's coefficients follow the hypergradient of freshly begun training.

Each meta step initializes a network, takes K steps under the learned loss, measures the task loss
on a validation batch and moves the coefficients downhill (thesis, ch. 4; Bechtle et al. 2021). All
losses of a population see the same networks and batches: they are compared fairly, and what does
not depend on the loss is computed once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from lossforge.losses import LossPopulation, default_loss
from lossforge.methods.problem import BaseTraining, Problem, kind_of
from lossforge.randomness import derive_seed
from lossforge.training import Adam
from lossforge.training.hypergradient import Start, Strategy, choose_strategy, hypergradient
from lossforge.validation import require_in_range

Progress = Callable[[str, int, int], None]
"""Hears a stage's name, how many of its steps are done, and how many there are."""


@final
@dataclass(frozen=True)
class MetaTraining:
    """Settings of offline meta-training.

    Attributes:
        steps: meta steps.
        learning_rate: of Adam on the coefficients, eta.
        inner_steps: K, steps of the base network before the task loss is measured.
        base: how base networks are trained.
        strategy: of the hypergradient; chosen by network where None.
    """

    steps: int
    learning_rate: float
    inner_steps: int
    base: BaseTraining
    strategy: Strategy | None = None

    def __post_init__(self) -> None:
        require_in_range("meta_steps", self.steps, 0)
        require_in_range("meta_learning_rate", self.learning_rate, 0, exclude_low=True)
        require_in_range("inner_steps", self.inner_steps, 1)

    def __call__(
        self,
        losses: LossPopulation,
        problems: Sequence[Problem],
        seed: int,
        progress: Progress,
    ) -> LossPopulation:
        """Return the losses with tuned coefficients.

        A loss whose hypergradient is not finite keeps the coefficients that it had: its fitness
        will tell what it is worth.
        """
        adam = Adam(self.learning_rate)
        streams = [
            _Streams(self, problem, derive_seed(seed, i)) for i, problem in enumerate(problems)
        ]
        coefficients = losses.coefficients
        state = adam.init([coefficients])
        for step in range(self.steps):
            current = losses.with_coefficients(coefficients)
            gradient = torch.stack([s.hypergradient(current, step) for s in streams]).mean(0)
            gradient = torch.where(gradient.isfinite().all(1, keepdim=True), gradient, 0)
            (coefficients,), state = adam.step([coefficients], [gradient], state)
            progress("tuning", step + 1, self.steps)
        return losses.with_coefficients(coefficients)


@final
class _Streams:
    """One problem's networks and batches through meta-training."""

    def __init__(self, settings: MetaTraining, problem: Problem, seed: int):
        self._settings, self._problem, self._seed = settings, problem, seed
        task, size = problem.task, settings.base.batch_size
        self._train = problem.batches(task.train, size, derive_seed(seed, "train"))
        self._valid = problem.batches(task.valid, size, derive_seed(seed, "valid"))
        self._task_loss = default_loss(kind_of([problem]))
        self._strategy = settings.strategy

    def hypergradient(self, losses: LossPopulation, step: int) -> Tensor:
        start = self._start(step)
        train = [self._train.draw() for _ in range(self._settings.inner_steps)]
        if self._strategy is None:
            self._strategy = choose_strategy(start, train[0][0], len(train))
        found = hypergradient(
            start, losses, train, self._valid.draw(), self._task_loss, self._strategy
        )
        return found.gradient

    def _start(self, step: int) -> Start:
        network = self._problem.network(derive_seed(self._seed, "network", step))
        parameters = network.parameters()
        optimizer = self._settings.base.optimizer()
        return Start(network, parameters, optimizer, optimizer.init(parameters))
