"""A user's model and optimizer under a loss that adapts; made by `AdaLFL.attach`."""

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn

from lossforge.errors import ConfigurationError, DataError, DivergedError
from lossforge.losses import Loss, NeuralLoss, default_loss
from lossforge.methods.any_batch import AnyBatch, as_pair
from lossforge.methods.observed_step import ObservedStep
from lossforge.methods.warm_up import WarmUp, first_pass, load_weights_of
from lossforge.tasks.batches import endless
from lossforge.training.hypergradient import OnlineEngine, OnlineStep, plain_step
from lossforge.training.hypergradient.state import Batch, slope_of
from lossforge.training.module import Moment as Circumstances
from lossforge.validation import require


@final
@dataclass(frozen=True)
class LossSnapshot:
    """The loss at one step of training, kept for looking at.

    Attributes:
        step: of training.
        factor: how much larger a gradient it gives than the task loss, along the latter's; than the
            default loss, where the task loss is `CalibratedCrossEntropy`.
        loss: a copy.
    """

    step: int
    factor: float
    loss: Loss


@final
@dataclass(frozen=True)
class Pace:
    """How fast a loss adapts in training.

    Attributes:
        meta_learning_rate: step size of Adam on the loss's weights.
        numbers_learning_rate: the same of scale and number of a residual loss with a form.
        numbers_range: the most by which those two may be multiplied or divided in training (the
            odds of a number between 0 and 1).
        every: training steps between updates of the loss; 0 for a loss that stays as it is.
        record_every: training steps between copies of the loss that are kept; 0 keeps none.
    """

    meta_learning_rate: float
    numbers_learning_rate: float
    numbers_range: float
    every: int
    record_every: int


@final
class AdaptiveTraining:
    """A user's model, optimizer and a loss that adapts to their training; made by `AdaLFL.attach`.

    Args:
        engine: carries hypergradients through the model.
        loss: M, whose parameters are learned.
        task_loss: T, which M is to lower.
        warm_up: how a loss network is learned before training.
        pace: how fast the loss adapts in it.

    Attributes:
        loss: the adaptive loss as it is now.
        meta_optimizer: of the loss's weights, for schedulers of its step size.
        steps: of training so far.
        horizon: at which the loss was warmed up; 0 where it is the default one at its best scale,
            because nothing learned did better; None before.
        moments: copies of the loss over time.
    """

    def __init__(
        self, engine: OnlineEngine, loss: Loss, task_loss: Loss, warm_up: WarmUp, pace: Pace
    ):
        self.loss, self.steps = loss, 0
        self.horizon: int | None = None
        self.moments: list[LossSnapshot] = []
        self.meta_optimizer = _meta_optimizer(loss, pace)
        self._engine, self._state, self._task_loss = engine, engine.state, task_loss
        self._warm_up, self._pace = warm_up, pace
        self._region = _TrustRegion(loss, pace.numbers_range)

    def warm_up(
        self,
        train: Iterable[AnyBatch],
        valid: Iterable[AnyBatch],
        progress: Callable[[int, int], None] | None = None,
        *,
        judge: Iterable[AnyBatch] | None = None,
        fresh: Callable[[], nn.Module] | None = None,
    ) -> None:
        """Learn the loss offline, before training: each meta step begins at the present weights.

        The model, its buffers and the optimizer are afterwards as they were.

        Args:
            train: training batches; begun anew when they end.
            valid: validation batches; likewise.
            progress: receives the number of steps done and their total.
            judge: validation batches that trials are judged on, with each row once; by default the
                first pass over `valid`, of 16 batches at most.
            fresh: returns a new network like the model. Where it is given, each start of the
                warm-up draws one, and meta steps begin at its weights.

        Raises:
            DataError: there are no batches, or a loss is not finite.
            ConfigurationError: the loss is no loss network, or a fresh network is not like the
                model.
        """
        if not isinstance(self.loss, NeuralLoss):
            raise ConfigurationError(f"{self.loss} needs no warm-up; leave out the call of warm_up")
        form = self.loss.architecture
        scales = self._warm_up.scales if form.residual else ()
        numbers = self._warm_up.numbers if form.form else ()
        warm_up = replace(self._warm_up, scales=scales, numbers=numbers)
        judged = list[Batch]()
        if warm_up.tries:
            judged = [as_pair(batch) for batch in (first_pass(valid) if judge is None else judge)]
        pairs = zip(map(as_pair, endless(train)), map(as_pair, endless(valid)), strict=False)
        restart = None if fresh is None else partial(load_weights_of, self._state, fresh)
        self.horizon = warm_up(
            self._state, self.loss, self._adapt_to_one, pairs, judged, progress, restart
        )
        self._region = _TrustRegion(self.loss, self._pace.numbers_range)

    def step(self, batch: AnyBatch, valid_batch: AnyBatch | None = None) -> OnlineStep:
        """Train the model for one step under the loss, and then the loss for one.

        Args:
            batch: training inputs and targets: a pair, or a mapping with the targets as "labels".
            valid_batch: validation inputs and targets; may be None where `every` skips the update.

        Raises:
            DataError: a loss is not finite, a batch does not fit, or a validation batch is missing.
        """
        return self.step_accumulated([batch], valid_batch)

    def step_accumulated(
        self, batches: Sequence[AnyBatch], valid_batch: AnyBatch | None = None
    ) -> OnlineStep:
        """Do what `step` does, with the mean of the gradients of several batches."""
        require(len(batches) > 0, "a step needs at least one batch")
        pairs = [as_pair(batch) for batch in batches]
        is_due = self._begin_step(pairs[0], valid_batch is not None)
        if is_due and valid_batch is not None:
            found = self._adapt(self.meta_optimizer, pairs, as_pair(valid_batch))
        else:
            found = OnlineStep(plain_step(self._state, self.loss, pairs), None, None)
        self.steps += 1
        return found

    @property
    def is_due(self) -> bool:
        """Whether the loss learns in the step that comes next, as `every` has it."""
        return self._pace.every > 0 and (self.steps + 1) % self._pace.every == 0

    @property
    def parameters(self) -> list[Tensor]:
        """What the optimizer trains, in its order."""
        return self._state.parameters

    def keep_all_randomness(self) -> None:
        """Repeat passes with the same numbers of `random` and NumPy too, which some models draw."""
        self._engine.everywhere = True

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their mean over the processes that train together."""
        self._state.average(tensors)

    def observe(self) -> "ObservedStep":
        """Return one step of a loop of your own: its backward passes and its optimizer's step.

        Examples:
            >>> from lossforge import AdaLFL
            >>> x, y = torch.randn(64, 4), torch.randint(3, (64,))
            >>> model = nn.Linear(4, 3)
            >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            >>> adapt = AdaLFL().attach(model, optimizer)
            >>> observed = adapt.observe()
            >>> observed.loss((x[:32], y[:32])).backward()
            >>> observed.before_step()
            >>> optimizer.step()
            >>> observed.learn((x[32:], y[32:])).task_loss > 0
            True
        """
        return ObservedStep(
            self._engine,
            self.loss,
            self._task_loss,
            end=self._end_step,
            learn=partial(self._learn, self.meta_optimizer),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` goes on from; the model and optimizer have their own."""
        return {
            "loss": deepcopy(self.loss.state_dict()),
            "meta_optimizer": deepcopy(self.meta_optimizer.state_dict()),
            "steps": self.steps,
            "horizon": self.horizon,
            "numbers_at_first": self._region.centers(),
            "moments": [
                {"step": m.step, "factor": m.factor, "loss": deepcopy(m.loss.state_dict())}
                for m in self.moments
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.loss.load_state_dict(state["loss"])
        self.meta_optimizer.load_state_dict(state["meta_optimizer"])
        self.steps, self.horizon = state["steps"], state["horizon"]
        self._region.move_to(state["numbers_at_first"])
        self.moments = []
        for kept in state["moments"]:
            loss = deepcopy(self.loss).requires_grad_(False)
            loss.load_state_dict(kept["loss"])
            self.moments.append(LossSnapshot(kept["step"], kept["factor"], loss))

    def _begin_step(self, batch: Batch, has_valid: bool) -> bool:
        """Tell whether the loss is to learn in this step; keep a copy of it where asked to."""
        is_due = self.is_due
        if is_due and not has_valid:
            raise DataError("a validation batch is needed to adapt the loss; pass one to step")
        record = self._pace.record_every
        if record and self.steps % record == 0:
            self.moments.append(self._snapshot(batch))
        return is_due

    def _end_step(self) -> bool:
        """Count a step, and tell whether the loss was to learn in it."""
        is_due = self.is_due
        self.steps += 1
        return is_due

    def _adapt(
        self, optimizer: torch.optim.Optimizer, batches: Sequence[Batch], valid_batch: Batch
    ) -> OnlineStep:
        """Train the model for a step and the loss for one, by that optimizer of its weights."""
        found = self._engine.step(self.loss, batches, valid_batch, self._task_loss)
        if found.hypergradient is not None:
            self._learn(optimizer, found.hypergradient)
        return found

    def _adapt_to_one(
        self, optimizer: torch.optim.Optimizer, batch: Batch, valid_batch: Batch
    ) -> OnlineStep:
        return self._adapt(optimizer, [batch], valid_batch)

    def _learn(self, optimizer: torch.optim.Optimizer, hypergradient: list[Tensor]) -> None:
        if not all(bool(g.isfinite().all()) for g in hypergradient):
            raise DivergedError(
                f"the hypergradient of step {self.steps + 1} is not finite; lower the learning "
                "rate or clip gradients (clip_norm); the loss was not updated"
            )
        for weights, g in zip(self.loss.parameters(), hypergradient, strict=True):
            weights.grad = g
        optimizer.step()
        optimizer.zero_grad()
        if optimizer is self.meta_optimizer:
            self._region.enforce()

    @torch.no_grad()
    def _snapshot(self, batch: Batch) -> LossSnapshot:
        state = self._state
        with Circumstances(state.module).kept():
            outputs = state.rerun(batch[0]).float()
        # An objective that is blind to the scale of the outputs has no step size to compare with.
        usual = self._task_loss if self._task_loss.is_separable else default_loss(self.loss.kind)
        mine, default = (_slope(loss, outputs, batch[1]).double() for loss in (self.loss, usual))
        energy = default.square().sum().clamp_min(torch.finfo(torch.double).tiny)
        factor = float((mine * default).sum() / energy)
        return LossSnapshot(self.steps, factor, deepcopy(self.loss).requires_grad_(False))


@final
class _TrustRegion:
    """Keeps scale and number of a loss with a form near where they were when training began.

    A gradient that looks one step ahead lowers both in the end, for the smaller step is the better
    one there; what whole trainings told must not be forgotten by it.

    Args:
        loss: whose numbers are kept; another has none.
        factor: by which they may be multiplied or divided.
    """

    def __init__(self, loss: Loss, factor: float):
        self._numbers, self._most = _numbers(loss), math.log(factor)
        self._centers = [number.item() for number in self._numbers]

    def centers(self) -> list[float]:
        return list(self._centers)

    def move_to(self, centers: Sequence[float]) -> None:
        self._centers = list(centers)

    @torch.no_grad()
    def enforce(self) -> None:
        for number, center in zip(self._numbers, self._centers, strict=True):
            number.clamp_(center - self._most, center + self._most)


def _numbers(loss: Loss) -> list[Tensor]:
    """Return scale and number of a residual loss with a form, as they are learned."""
    if not (isinstance(loss, NeuralLoss) and loss.architecture.form):
        return []
    return [loss.log_scale, *loss.usual.parameters()]


def _meta_optimizer(loss: Loss, pace: Pace) -> torch.optim.Adam:
    """Return Adam on the loss's weights, with a step size of their own for its few numbers."""
    numbers = _numbers(loss)
    if not numbers:
        return torch.optim.Adam(loss.parameters(), pace.meta_learning_rate)
    weights = [each for each in loss.parameters() if not any(each is number for number in numbers)]
    groups = [
        {"params": weights, "lr": pace.meta_learning_rate},
        {"params": numbers, "lr": pace.numbers_learning_rate},
    ]
    return torch.optim.Adam(groups)


def _slope(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    return slope_of(loss, outputs, targets, build=False)[1]
