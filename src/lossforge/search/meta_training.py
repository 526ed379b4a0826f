"""Offline meta-training: a loss's coefficients follow the hypergradient of freshly begun training.

Each meta step initializes a network, takes K steps under the learned loss, measures the task loss
on a validation batch and moves the coefficients downhill (thesis, ch. 4; Bechtle et al. 2021). All
losses of a population see the same networks and batches: they are compared fairly, and what does
not depend on the loss is computed once.

A loss that only ever sees fresh networks knows nothing of predictions that are nearly right: one
step from the beginning, a larger step always looks better. With a horizon above 1 each loss trains
a network of its own for so many meta steps before a fresh one is taken (not in the papers).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from lossforge.losses import LossPopulation, default_loss
from lossforge.randomness import derive_seed
from lossforge.search.method import State
from lossforge.search.problem import BaseTraining, Problem, kind_of
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
        horizon: meta steps that one network is trained through, under the loss itself, before a
            fresh one is taken; 1 in the papers.
    """

    steps: int
    learning_rate: float
    inner_steps: int
    base: BaseTraining
    strategy: Strategy | None = None
    horizon: int = 1

    def __post_init__(self) -> None:
        require_in_range("meta_steps", self.steps, 0)
        require_in_range("meta_learning_rate", self.learning_rate, 0, exclude_low=True)
        require_in_range("inner_steps", self.inner_steps, 1)
        require_in_range("horizon", self.horizon, 1)

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
        course = self.begin(losses, problems, seed)
        course.advance(self.steps, progress)
        return course.losses

    def begin(self, losses: LossPopulation, problems: Sequence[Problem], seed: int) -> "Course":
        """Return meta-training before its first step."""
        return Course(self, losses, problems, seed)


@final
class Course:
    """Meta-training on its way.

    Attributes:
        losses: with their present coefficients.
        step: meta steps made.
    """

    def __init__(
        self,
        settings: MetaTraining,
        losses: LossPopulation,
        problems: Sequence[Problem],
        seed: int,
    ):
        self.losses, self.step = losses, 0
        self._settings, self._adam = settings, Adam(settings.learning_rate)
        self._moments = self._adam.init([losses.coefficients])
        self._streams = [
            _Streams(settings, problem, derive_seed(seed, i)) for i, problem in enumerate(problems)
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
        """Return what `restore` goes on from, as plain data; asked for between networks alone."""
        assert self.step % self._settings.horizon == 0 or self.step == self._settings.steps
        return {
            "step": self.step,
            "coefficients": self.losses.coefficients.tolist(),
            "moments": [slot.tolist() for (slot,) in self._moments.slots],
            "batches": [stream.state() for stream in self._streams],
        }

    def restore(self, state: State) -> None:
        """Go on from where `state` was taken."""
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

    def __init__(self, settings: MetaTraining, problem: Problem, seed: int):
        self._settings, self._problem, self._seed = settings, problem, seed
        task, size = problem.task, settings.base.batch_size
        self._train = problem.batches(task.train, size, derive_seed(seed, "train"))
        self._valid = problem.batches(task.valid, size, derive_seed(seed, "valid"))
        self._task_loss = default_loss(kind_of([problem]))
        self._strategy = settings.strategy
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
        optimizer = self._settings.base.optimizer()
        return Start(network, parameters, optimizer, optimizer.init(parameters))


def _trained(start: Start, losses: LossPopulation, train: Sequence[Batch]) -> Start:
    """Return where a step of training a batch leads, under the only loss of `losses`."""
    parameters, state = start.parameters, start.state
    for inputs, targets in train:
        leaves = [theta.detach().requires_grad_() for theta in parameters]
        outputs = start.network(leaves, inputs)
        (cotangent,) = losses.slope(outputs.detach(), targets)
        gradient = torch.autograd.grad(outputs, leaves, cotangent, materialize_grads=True)
        parameters, state = start.optimizer.step(parameters, list(gradient), state)
    return replace(start, parameters=parameters, state=state)
