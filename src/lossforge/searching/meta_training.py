"""Offline meta-training: the coefficients of losses follow hypergradients of training.

Each meta step initializes a network, takes K steps under the learned loss, measures the task loss
on a validation batch and moves the coefficients downhill (thesis, ch. 4; Bechtle et al. 2021). All
losses of a population see the same networks and batches: they are compared fairly, and what does
not depend on the loss is computed once.

A loss that only ever sees untrained networks does not learn what to do with predictions that are
nearly right: one step from the initialization, a larger step always looks better. With a horizon
above 1 each loss trains a network of its own for that many meta steps before a new one is
initialized (not in the papers).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, final

import torch
from torch import Tensor

from lossforge.losses import LossPopulation
from lossforge.losses.resolve import CALIBRATED, METRIC, objective, resolve_loss
from lossforge.randomness import derive_seed
from lossforge.searching.journal import Progress, State
from lossforge.searching.options import OptionName
from lossforge.searching.problem import BaseTraining, Problem, kind_of
from lossforge.training import Adam
from lossforge.training.hypergradient import (
    Batch,
    Hypergradient,
    Start,
    Strategy,
    choose_strategy,
    hypergradient,
)
from lossforge.training.optimizers import State as OptimizerState
from lossforge.validation import require_in_range

METRIC_ROWS = 1024
"""validation rows, at least, on which a metric is lowered; a batch has few rows of a rare class"""


@final
@dataclass(frozen=True)
class MetaTraining:
    """How the coefficients of losses are tuned offline, by hypergradients.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    steps: Annotated[int, OptionName("meta_steps")] = 250
    """meta steps, updates of a candidate's coefficients; 0 leaves them as they are"""
    learning_rate: Annotated[float, OptionName("meta_learning_rate")] = 1e-3
    """learning rate of Adam on the coefficients, eta"""
    inner_steps: int = 1
    """training steps of the base network in a meta step, K"""
    horizon: int = 1
    """meta steps for which one network is trained on under a candidate before a new one is
    initialized; 1 in the papers, where all candidates share new networks, which is faster"""
    task_loss: str = ""
    """loss that meta-training lowers on validation data; by default cross_entropy or mse, as in the
    papers. calibrated is cross_entropy at its best temperature in classification, metric the smooth
    form of what the task is measured by"""

    def __post_init__(self) -> None:
        require_in_range("meta_steps", self.steps, 0)
        require_in_range("meta_learning_rate", self.learning_rate, 0, exclude_low=True)
        require_in_range("inner_steps", self.inner_steps, 1)
        require_in_range("horizon", self.horizon, 1)
        if self.task_loss not in ("", CALIBRATED, METRIC):
            resolve_loss(self.task_loss)

    def __call__(
        self,
        losses: LossPopulation,
        problems: Sequence[Problem],
        base: BaseTraining,
        seed: int,
        progress: Progress,
    ) -> LossPopulation:
        """Return the losses with tuned coefficients.

        A loss whose hypergradient is not finite keeps the coefficients that it had: its fitness
        will show what it is worth.
        """
        trainer = self.begin(losses, problems, base, seed)
        trainer.advance(self.steps, progress)
        return trainer.losses

    def begin(
        self, losses: LossPopulation, problems: Sequence[Problem], base: BaseTraining, seed: int
    ) -> "MetaTrainer":
        """Return meta-training before its first step."""
        return MetaTrainer(self, losses, problems, base, seed)


@final
class MetaTrainer:
    """Meta-training in progress.

    Attributes:
        losses: with their current coefficients.
        step: meta steps made.
    """

    def __init__(
        self,
        settings: MetaTraining,
        losses: LossPopulation,
        problems: Sequence[Problem],
        base: BaseTraining,
        seed: int,
    ):
        self.losses, self.step = losses, 0
        self._settings, self._adam = settings, Adam(settings.learning_rate)
        self._moments = self._adam.init([losses.coefficients])
        self._streams = [
            _Streams(settings, problem, base, derive_seed(seed, i))
            for i, problem in enumerate(problems)
        ]

    def advance(self, steps: int, progress: Progress) -> None:
        """Make that many meta steps."""
        for _ in range(steps):
            by_problem = [stream.hypergradient(self.losses, self.step) for stream in self._streams]
            gradient = torch.stack(by_problem).mean(0)
            gradient = torch.where(gradient.isfinite().all(1, keepdim=True), gradient, 0)
            (coefficients,), self._moments = self._adam.step(
                [self.losses.coefficients], [gradient], self._moments
            )
            self.losses = self.losses.with_coefficients(coefficients)
            self.step += 1
            progress("tuning", self.step, self._settings.steps)

    def state(self) -> State:
        """Return what `restore` continues from, as plain data.

        It can be taken only where a new network comes next: after a multiple of the horizon, or
        at the end.
        """
        assert self.step % self._settings.horizon == 0 or self.step == self._settings.steps
        return {
            "step": self.step,
            "coefficients": self.losses.coefficients.tolist(),
            "moments": [slot.tolist() for (slot,) in self._moments.slots],
            "batches": [stream.state() for stream in self._streams],
        }

    def restore(self, state: State) -> None:
        """Continue from where `state` was taken."""
        like = self.losses.coefficients
        self.losses = self.losses.with_coefficients(like.new_tensor(state["coefficients"]))
        slots = tuple([like.new_tensor(slot)] for slot in state["moments"])
        self.step = state["step"]
        self._moments = OptimizerState(self.step, slots)
        for stream, saved in zip(self._streams, state["batches"], strict=True):
            stream.restore(saved)


@final
class _Streams:
    """One problem's networks and batches through meta-training."""

    def __init__(self, settings: MetaTraining, problem: Problem, base: BaseTraining, seed: int):
        self._settings, self._problem, self._seed = settings, problem, seed
        self._optimizer = base.optimizer()
        task, size = problem.task, base.batch_size
        self._train = problem.batches(task.train, size, derive_seed(seed, "train"))
        rows = max(size, METRIC_ROWS) if settings.task_loss == METRIC else size
        self._valid = problem.batches(task.valid, rows, derive_seed(seed, "valid"))
        goal = objective(settings.task_loss, kind_of([problem]), task.measure)
        self._task_loss = goal.to(task.device)
        self._strategy: Strategy | None = None
        self._own: list[Start] = []

    def hypergradient(self, losses: LossPopulation, step: int) -> Tensor:
        """Return dT/dphi of every loss, [P, N]."""
        train = [self._train.draw() for _ in range(self._settings.inner_steps)]
        valid = self._valid.draw()
        if self._settings.horizon == 1:
            return self._differentiate(self._start(step), losses, train, valid).gradient
        if step % self._settings.horizon == 0:
            self._own = [self._start(step)] * len(losses)
        gradient = torch.zeros_like(losses.coefficients)
        for i, start in enumerate(self._own):
            loss = losses.select([i])
            found = self._differentiate(start, loss, train, valid)
            gradient[i, : found.gradient.shape[1]] = found.gradient[0]
            went_on = bool(found.task_loss.isfinite())
            self._own[i] = _trained(start, loss, train) if went_on else self._start(step)
        return gradient

    def _differentiate(
        self, start: Start, losses: LossPopulation, train: Sequence[Batch], valid: Batch
    ) -> Hypergradient:
        if self._strategy is None:
            self._strategy = choose_strategy(start, train[0][0], len(train))
        return hypergradient(start, losses, train, valid, self._task_loss, self._strategy)

    def state(self) -> list[State]:
        return [batches.state() for batches in (self._train, self._valid)]

    def restore(self, state: list[State]) -> None:
        for batches, saved in zip((self._train, self._valid), state, strict=True):
            batches.restore(saved)

    def _start(self, step: int) -> Start:
        network = self._problem.network(derive_seed(self._seed, "network", step))
        parameters = network.parameters()
        return Start(network, parameters, self._optimizer, self._optimizer.init(parameters))


def _trained(start: Start, losses: LossPopulation, train: Sequence[Batch]) -> Start:
    """Return the start after one training step for each batch, under the only loss of `losses`."""
    parameters, state = start.parameters, start.state
    for inputs, targets in train:
        leaves = [theta.detach().requires_grad_() for theta in parameters]
        outputs = start.network(leaves, inputs)
        (cotangent,) = losses.slope(outputs.detach(), targets)
        gradient = torch.autograd.grad(outputs, leaves, cotangent, materialize_grads=True)
        parameters, state = start.optimizer.step(parameters, list(gradient), state)
    return replace(start, parameters=parameters, state=state)
