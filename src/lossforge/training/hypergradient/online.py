"""One training step that also gives the hypergradient of the loss, for a user's own loop.

The user's model and optimizer are used as they are. With theta' = theta - U(g), g = J^T dM/df, and
v the task loss's gradient at theta', the hypergradient is -d/dphi <dM/df, J w> for w = dU/dg v: the
derivative of the very step that was taken, with the momentum that the optimizer really has.

There are two ways. An `Observation` leaves the step to PyTorch and repeats its passes afterwards:
it works in every loop. `FusedStep` shares the training pass with J w, which saves time on networks
without convolutions. The first step of a model is always observed, to find which ways are exact.

Source: thesis, ch. 6.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal, final, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lossforge.errors import ConfigurationError, unknown_name
from lossforge.losses.loss import Loss
from lossforge.models.calling import Inputs
from lossforge.training.hypergradient.clipping import Clipping
from lossforge.training.hypergradient.fused import FusedStep
from lossforge.training.hypergradient.jacobian import Gradients, gradients
from lossforge.training.hypergradient.observation import (
    TASK_LOSS,
    Observation,
    Outcome,
    Pattern,
    by_loss,
    pattern_of,
)
from lossforge.training.hypergradient.passes import (
    NotRepeatableError,
    RecordedPass,
    Way,
    first_that_holds,
    is_hooked,
    require_equal,
)
from lossforge.training.hypergradient.state import (
    Batch,
    TrainState,
    backward,
    clean_gradients,
    require_finite,
    slope_of,
    take_step,
    unscale,
)
from lossforge.training.module import (
    Moment,
    differentiable,
    without_reentrant_checkpoints,
)
from lossforge.training.network import channels_last
from lossforge.training.optimizers import Tensors

OnlineStrategy = Literal["low_rank", "forward", "reverse"]
"""How a validation gradient is carried back; every strategy gives the same number."""


class SlowPathWarning(UserWarning):
    """A faster way of computing was not possible; the number is the same."""


@final
@dataclass(frozen=True)
class OnlineStep:
    """What a step measured.

    Attributes:
        loss: M on the training batch, before the step.
        task_loss: T on the validation batch, after it; None where the loss was not updated.
        hypergradient: dT/dphi, a tensor a parameter of M; None likewise.
    """

    loss: float
    task_loss: float | None
    hypergradient: Tensors | None


@final
class OnlineEngine:
    """Computes hypergradients of one model's training.

    Args:
        state: what is trained.
        strategies: to try, the preferred first.

    Raises:
        UnknownNameError: there is no such strategy.
    """

    def __init__(self, state: TrainState, strategies: Sequence[OnlineStrategy]):
        for strategy in strategies:
            if strategy not in get_args(OnlineStrategy):
                raise unknown_name("hypergradient strategy", strategy, get_args(OnlineStrategy))
        self.state = state
        self.ways: tuple[Way, ...] = tuple(s for s in strategies if s != "low_rank") or ("reverse",)
        self.fused: tuple[OnlineStrategy, ...] = _fusible(state, strategies)
        self.everywhere = True  # until a first pass shows that it draws from nowhere else
        self.writes_parameters = False
        self._verified: dict[Pattern, Way] = {}
        self._arranges = any(isinstance(p, nn.Conv2d) for p in state.module.modules())
        self._is_compiled: bool | None = None
        self._runs_eagerly = False
        self._trusted: set[object] = set()
        self._spare: frozenset[int] = frozenset()
        self._attends: bool | None = None

    def step(
        self, loss: Loss, batches: Sequence[Batch], valid: Batch, task_loss: Loss
    ) -> OnlineStep:
        """Train for one step under the loss, and differentiate the task loss after it by the loss.

        Args:
            loss: M; its parameters must ask for gradients.
            batches: one training batch, or several whose losses are averaged.
            valid: validation inputs and targets.
            task_loss: T.

        Raises:
            DivergedError: M or T is not finite; the message says what was changed.
            ConfigurationError: the model cannot be differentiated.
        """

        def outcome(outputs: Tensor) -> Tensor:
            found: Tensor = task_loss(outputs, valid[1])
            return found

        state = self.state
        with clean_gradients(state):
            if len(batches) == 1:
                found = self._fused_step(loss, batches[0], valid, outcome)
                if found is not None:
                    return found
            watched = Observation(self)
            total = 0.0
            for index, (inputs, targets) in enumerate(batches):
                last = index + 1 == len(batches)
                value = self._loss_of(watched, loss, inputs, targets, last=last)
                total += value.item() / len(batches)
                backward(state, value, len(batches), last=last)
            unscale(state)
            watched.gradients_ready()
            if state.clips:
                state.set_gradients(watched.clipping.clipped)
            watched.before_step()
            take_step(state)
            state.clear_gradients()
            if watched.is_skipped:
                return OnlineStep(total, None, None)
            reached, hypergradient = watched.differentiate(
                loss, lambda: self.rerun(valid[0]), outcome
            )
        return OnlineStep(total, reached, hypergradient)

    def _loss_of(
        self, watched: Observation, loss: Loss, inputs: Any, targets: Tensor, *, last: bool
    ) -> Tensor:
        moment = watched.moment()
        with self.state.synchronized(last=last):
            outputs = self.run(inputs, moment)
        return watched.record(loss, outputs, targets, moment, lambda: self.rerun(inputs))

    def run(self, inputs: Inputs, moment: Moment) -> Tensor:
        """Run the model on a training batch, as in plain training.

        Args:
            inputs: of the batch.
            moment: taken just before.
        """
        if self._is_compiled is None:
            self._is_compiled = is_compiled(self.state.module)
            if self._is_compiled:
                self._attends = False
                self._choose_eager(inputs, moment)
        if not self._runs_eagerly:
            return self._run_watching(inputs)
        with torch.compiler.set_stance("force_eager"):
            return self.state.run(inputs)

    def _choose_eager(self, inputs: Inputs, moment: Moment) -> None:
        """Find out whether compiled code draws random numbers of its own; if so do without it."""
        with torch.no_grad(), moment.kept():
            outputs = self.state.run(inputs)
        with torch.no_grad(), moment.repeated(), differentiable():
            again = self.rerun(inputs)
        try:
            RecordedPass(_none, moment, outputs, outputs).require_same(again)
        except NotRepeatableError:
            self._runs_eagerly = True
            warnings.warn(
                "the compiled model draws other random numbers than the model itself: steps in "
                "which the loss adapts run it without the compiler",
                SlowPathWarning,
                stacklevel=6,
            )

    def _run_watching(self, inputs: Any) -> Tensor:
        """Run the model; say once where a slower attention will be needed for derivatives."""
        if self._attends is not None:
            return self.state.run(inputs)
        with _AttentionWatch() as watch:
            outputs = self.state.run(inputs)
        self._attends = watch.seen
        if watch.seen:
            # One pass in forward mode costs less than a second graph.
            self.ways = tuple(sorted(self.ways))  # forward, reverse
            warnings.warn(
                "the model uses scaled_dot_product_attention: the passes of AdaLFL that need "
                "derivatives run it on PyTorch's math backend, slower than flash attention",
                SlowPathWarning,
                stacklevel=5,
            )
        return outputs

    @property
    def sharing(self) -> OnlineStrategy | None:
        """The strategy whose training pass serves the step as well; None where none does."""
        return self.fused[0] if self.fused and self._trusted else None

    def way(self, pattern: Pattern) -> Way | None:
        """Return the way of computing J w that was checked for passes like these; None for none."""
        return self._verified.get(pattern)

    def find_way(self, passes: Sequence[RecordedPass], before: Tensors, raw: Gradients) -> Way:
        """Return the first way of computing J w that gives the gradient of a step."""
        try:
            found = first_that_holds(self.ways, self.state, passes, before, raw)
        except ConfigurationError:
            if not self._arranges:
                raise
            self._arranges = False
            found = first_that_holds(self.ways, self.state, passes, before, raw)
        self._verified[pattern_of(raw)] = found
        return found

    def rerun(self, inputs: Inputs) -> Tensor:
        """Run the model for its derivatives, in the memory layout in which it is fastest."""
        if self._arranges and isinstance(inputs, Tensor):
            inputs = channels_last(inputs)
        return self.state.rerun(inputs)

    def _fused_step(
        self, loss: Loss, batch: Batch, valid: Batch, outcome: Outcome
    ) -> OnlineStep | None:
        """Take a step that shares its training pass with J w; None where that does not hold."""
        state = self.state
        while self.fused:
            moment = Moment(state.module, everywhere=self.everywhere)
            try:
                fused = FusedStep(
                    state,
                    lambda: state.rerun(batch[0]),
                    low_rank=self.fused[0] == "low_rank",
                    spare=self._spare,
                )
                self.everywhere &= moment.draws_elsewhere()
                value, slope = slope_of(loss, fused.outputs, batch[1], build=True)
                number = require_finite(value, "loss", "the network was not updated")
                found = fused.transposed(slope.detach())
                if fused.signature not in self._trusted:
                    coarse = state.precision is not None
                    one = RecordedPass(_none, moment, fused.outputs, slope, is_coarse=coarse)
                    self._check(fused, found, one, batch)
            except torch.OutOfMemoryError:
                raise
            except (NotRepeatableError, RuntimeError, NotImplementedError, TypeError):
                moment.undo()
                self.fused, self._spare = self.fused[1:], frozenset()
            else:
                clipping, slopes = self._descend(found)
                del found
                reached, tangent = self._carry_back(fused, valid, outcome, clipping, slopes)
                return OnlineStep(number, reached, by_loss(loss, [(slope, tangent)]))
        return None

    def _check(self, fused: FusedStep, found: Gradients, one: RecordedPass, batch: Batch) -> None:
        """Hold a shared pass against one of plain training, and take note that it is right."""
        state, cotangent = self.state, one.slope.detach()
        with one.moment.repeated(), without_reentrant_checkpoints():
            outputs = self._run_watching(batch[0])
            if self._attends:
                # The step is to have flash attention's rounding, for Adam makes steps of it.
                raise NotRepeatableError("attention is computed by another kernel")
            raw = gradients(outputs, state.parameters, cotangent)
        one.require_same(outputs)
        require_equal(found, raw, state)
        fused.require_product(cotangent, raw)
        # A pass that needs more copies than those seen so far must not be cut short by them.
        self._spare = fused.spare & self._spare if self._trusted else fused.spare
        self._trusted.add(fused.signature)

    def _descend(self, found: Gradients) -> tuple[Clipping, list[Tensor | float]]:
        """Take the step of a shared pass; return its clipping and the optimizer's slopes."""
        state = self.state
        clipping = state.clipping(found)
        slopes = state.response.slopes(clipping.clipped)
        state.set_gradients(clipping.clipped)
        take_step(state)
        state.clear_gradients()
        clipping.forget()
        return clipping, slopes

    def _carry_back(
        self,
        fused: FusedStep,
        valid: Batch,
        outcome: Outcome,
        clipping: Clipping,
        slopes: list[Tensor | float],
    ) -> tuple[float, Tensor]:
        """Return T after the step, and J w."""
        state = self.state

        def checked(outputs: Tensor) -> Tensor:
            result = outcome(outputs)
            require_finite(result, *TASK_LOSS)
            return result

        moment = Moment(state.module, everywhere=self.everywhere)
        with moment.kept(), without_reentrant_checkpoints():
            return fused.pull_back_step(lambda: state.rerun(valid[0]), checked, clipping, slopes)


def is_compiled(module: nn.Module) -> bool:
    """Tell whether `torch.compile` was applied to a module or to a part of it."""
    return any(
        type(part).__name__ == "OptimizedModule" or part._compiled_call_impl is not None
        for part in module.modules()
    )


def _none() -> Tensor:
    raise AssertionError("a shared pass is not run again")


def _fusible(state: TrainState, strategies: Sequence[OnlineStrategy]) -> tuple[OnlineStrategy, ...]:
    """Return the strategies that may share the training pass with a step of PyTorch's."""
    module = state.module
    learned = {id(theta) for theta in state.parameters}
    plain = (
        module is state.model
        and state.scaler is None
        and not state.is_shared
        and not is_hooked(module)
        and not is_compiled(module)
        and all(id(theta) in learned for theta in module.parameters() if theta.requires_grad)
    )
    if not plain:
        return ()
    low_rank = state.response.is_linear and state.precision is None and not state.clips
    before_forward = takewhile(lambda s: s != "forward", strategies)  # which shares nothing
    return tuple(s for s in before_forward if s == "reverse" or low_rank)


@final
class _AttentionWatch(TorchFunctionMode):
    """Notices scaled dot-product attention."""

    seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        fused = func is F.multi_head_attention_forward and not kwargs.get("need_weights", True)
        self.seen |= fused or func is F.scaled_dot_product_attention
        return func(*args, **kwargs)
