"""One optimizer step of a user's training loop, observed, and its hypergradient.

PyTorch takes the step as usual; its passes are repeated afterwards. This works in every loop.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from lossforge.errors import ConfigurationError
from lossforge.losses.loss import Loss
from lossforge.training.hypergradient.clipping import Clipping
from lossforge.training.hypergradient.jacobian import Gradients, gradients
from lossforge.training.hypergradient.passes import (
    NotRepeatableError,
    RecordedPass,
    Way,
    is_hooked,
    product,
)
from lossforge.training.hypergradient.state import AttachedLoss, require_finite, slope_of
from lossforge.training.module import (
    Moment,
    replaced,
    without_hooks,
    without_reentrant_checkpoints,
)
from lossforge.training.optimizers import Tensors

if TYPE_CHECKING:
    from lossforge.training.hypergradient.online import OnlineEngine

Outcome = Callable[[Tensor], Tensor]
"""Maps validation outputs to the task loss T."""

Pattern = tuple[bool, ...]
"""Which parameters have no gradient."""

TASK_LOSS = ("task loss on the validation batch", "the loss was not updated")
"""What is not finite, and what follows, in the error of a diverged evaluation."""


@final
class Observation:
    """One optimizer step of a user's training loop, observed.

    In order: `record` for each batch, and backward passes; `gradients_ready` before clipping;
    `before_step`; the optimizer's step; `differentiate`.

    Attributes:
        clipping: of the gradients, as the settings have it; after `gradients_ready`.
        is_skipped: whether the step will change nothing, because a scaled gradient overflowed.
    """

    clipping: Clipping

    def __init__(self, engine: "OnlineEngine"):
        self._engine, self._state = engine, engine.state
        self._passes: list[RecordedPass] = []
        self._versions = [theta._version for theta in self._state.parameters]
        self.is_skipped = False

    def moment(self) -> Moment:
        """Return the state that the next pass depends on."""
        return Moment(self._state.module, everywhere=self._engine.everywhere)

    def record(
        self,
        loss: Loss,
        outputs: Tensor,
        targets: Tensor,
        moment: Moment,
        rerun: Callable[[], Tensor],
    ) -> Tensor:
        """Return M of a training batch, whose backward pass is that of plain training.

        Args:
            loss: M.
            outputs: of the model, with their graph.
            targets: of the batch.
            moment: taken before the pass.
            rerun: runs the model on the batch again and returns its outputs.

        Raises:
            DivergedError: M is not finite.
        """
        self._engine.everywhere &= moment.draws_elsewhere()
        value, slope = slope_of(loss, outputs, targets, build=True)
        require_finite(value, "loss", "the network was not updated")
        coarse = self._state.precision is not None
        one = RecordedPass(rerun, moment, outputs.detach(), slope, is_coarse=coarse)
        self._passes.append(one)
        attached: Tensor = AttachedLoss.apply(outputs, value, slope.detach(), one.add_share)  # type: ignore[no-untyped-call]
        return attached

    def gradients_ready(self) -> None:
        """Record the gradients, unscaled and not yet clipped."""
        found = self._state.gradients()
        self._raw: Gradients = found
        if self._state.clips:
            self._raw = [None if g is None else g.clone() for g in found]
        self.clipping = self._state.clipping(self._raw)

    def before_step(self) -> None:
        """Record the parameters and how the optimizer will respond to the gradients."""
        state = self._state
        scaler = state.scaler
        self.is_skipped = scaler is not None and not all(
            bool(g.isfinite().all()) for g in self._raw if g is not None
        )
        self._scale = 1.0 if scaler is None else float(scaler.get_scale())
        self._engine.writes_parameters |= any(
            theta._version != version
            for theta, version in zip(state.parameters, self._versions, strict=True)
        )
        self._before = [theta.detach().clone() for theta in state.parameters]
        self._slopes = state.response.slopes(self.clipping.clipped)
        self._way = self._engine.way(pattern_of(self._raw))
        if self._way is not None:
            self._raw = []
            self.clipping.forget()

    def leave_out(self, others: Gradients) -> None:
        """Subtract the gradients of terms beside M, which the recorded passes do not have."""
        if self._raw:
            self._raw = [
                g if g is None or other is None else g - other
                for g, other in zip(self._raw, others, strict=True)
            ]

    def differentiate(
        self, loss: Loss, rerun: Callable[[], Tensor], outcome: Outcome
    ) -> tuple[float, Tensors]:
        """Return T after the step, and dT/dphi.

        Args:
            loss: M.
            rerun: runs the model on the validation batch and returns its outputs.
            outcome: T of these outputs.

        Raises:
            DivergedError: T is not finite.
            ConfigurationError: the model cannot be differentiated.
        """
        engine, state = self._engine, self._state
        for one in self._passes:
            one.share = one.share / self._scale
        # First, because it also finds the memory layout in which the model can be run.
        way = self._way or engine.find_way(self._passes, self._before, self._raw)
        reached, arrived = validation_gradient(engine, rerun, outcome)
        response: Gradients = [
            None if v is None else v * s for v, s in zip(arrived, self._slopes, strict=True)
        ]
        direction = self.clipping.pull_back(response)
        terms = [
            (one.slope, self._tangent(way, one, direction) * one.share) for one in self._passes
        ]
        found = by_loss(loss, terms)
        state.average(found)
        return reached, found

    def _tangent(self, way: Way, one: RecordedPass, direction: Gradients) -> Tensor:
        try:
            return product(way, self._state, one, self._before, direction)[0]
        except NotRepeatableError as error:
            raise ConfigurationError(
                f"a pass of the model cannot be repeated: {error}; draw random numbers from "
                "torch alone; the network was updated, the loss was not"
            ) from None


def validation_gradient(
    engine: "OnlineEngine", rerun: Callable[[], Tensor], outcome: Outcome
) -> tuple[float, Gradients]:
    """Return T at the present parameters and its gradient; nothing else changes."""
    state = engine.state
    module, parameters = state.module, state.parameters
    kept = [theta.detach().clone() for theta in parameters] if engine.writes_parameters else None
    leaves, places = parameters, {}
    if is_hooked(module):
        # Hooks are there for training gradients; of T the gradient itself is wanted.
        leaves = [theta.detach().requires_grad_() for theta in parameters]
        places = {id(theta): leaf for theta, leaf in zip(parameters, leaves, strict=True)}
    with (
        Moment(module, everywhere=engine.everywhere).kept(),
        replaced(module, places),
        without_hooks(module),
        without_reentrant_checkpoints(),
    ):
        with torch.enable_grad():
            value = outcome(rerun())
        number = require_finite(value, *TASK_LOSS)
        found = gradients(value, leaves)
    if kept is not None:
        with torch.no_grad():
            for theta, value in zip(parameters, kept, strict=True):
                theta.copy_(value)
    dense: Gradients = [None if v is None else v.to_dense() for v in found]
    if state.is_shared:
        # Every process must take part in every mean.
        dense = [
            torch.zeros_like(t) if v is None else v for t, v in zip(parameters, dense, strict=True)
        ]
        mean = torch.tensor(number, dtype=torch.float64, device=parameters[0].device)
        state.average([mean, *(v for v in dense if v is not None)])
        number = float(mean)
    return number, dense


def by_loss(loss: Loss, terms: Sequence[tuple[Tensor, Tensor]]) -> Tensors:
    """Return -d/dphi sum <dM/df, J w>, a tensor a parameter of M."""
    return list(
        torch.autograd.grad(
            [slope for slope, _ in terms],
            list(loss.parameters()),
            [-tangent.to(slope.dtype) for slope, tangent in terms],
            materialize_grads=True,
        )
    )


def pattern_of(gradient: Gradients) -> Pattern:
    """Tell for each parameter whether it has no gradient."""
    return tuple(g is None for g in gradient)
