"""Passes of training that can be run again, and J w by running them again.

The user's step is unchanged: model, backward pass, hooks, clipping, optimizer. Afterwards its
passes are repeated at the same weights, to compute how their outputs depend on the weights.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, final

import torch
from torch import Tensor

from lossforge.errors import ConfigurationError
from lossforge.training.hypergradient.jacobian import (
    Gradients,
    ReverseProducts,
    forward_product,
    suspects,
)
from lossforge.training.hypergradient.state import TrainState
from lossforge.training.module import Moment, at_values, differentiable, replaced
from lossforge.training.optimizers import Tensors

Way = Literal["forward", "reverse"]
"""How J w is computed from a pass that is run again."""

TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-3}
"""Greatest relative difference by rounding; `COARSE` for other types."""
COARSE = 5e-2

NEGLIGIBLE = 1e-4
"""A gradient this much smaller than the largest, by root mean square, is taken for rounding."""


class NotRepeatableError(Exception):
    """A pass that was run again did not give what it gave before."""


@final
@dataclass(eq=False)
class RecordedPass:
    """One pass of the model on a training batch.

    Attributes:
        rerun: runs the model on the same batch again.
        moment: what the pass depended on.
        outputs: of the model, detached.
        slope: dM/df at the outputs, differentiable by M's parameters.
        share: with which the loss entered the step: a mean's part; during the backward pass with a
            scaler's scale.
        is_coarse: whether the pass ran in half precision, whatever its outputs were turned into.
        suspects: operators that are known to lack derivatives, where the pass was in reverse.
    """

    rerun: Callable[[], Tensor]
    moment: Moment
    outputs: Tensor
    slope: Tensor
    share: Tensor = field(default_factory=lambda: torch.zeros(()))
    is_coarse: bool = False
    suspects: tuple[str, ...] = ()

    def add_share(self, share: Tensor) -> None:
        """Add the share with which a backward pass began."""
        self.share = self.share.to(share.device) + share.detach()

    @property
    def cotangent(self) -> Tensor:
        """The gradient at the outputs that the backward pass began with."""
        return (self.slope.detach() * self.share).to(self.outputs.dtype)

    def require_same(self, outputs: Tensor) -> None:
        """Raise unless the outputs are those that the pass had."""
        tolerance = COARSE if self.is_coarse else TOLERANCE.get(self.outputs.dtype, COARSE)
        scale = float(self.outputs.nan_to_num(0, 0, 0).abs().amax()) if outputs.numel() else 0.0
        if outputs.shape != self.outputs.shape or not torch.allclose(
            outputs.detach(), self.outputs, tolerance, tolerance * scale, equal_nan=True
        ):
            raise NotRepeatableError(
                "its outputs differ when a pass is repeated with the same random numbers"
            )


def product(
    way: Way, state: TrainState, one: RecordedPass, before: Tensors, direction: Gradients
) -> tuple[Tensor, Gradients | None]:
    """Return J w of a recorded pass, and in reverse J^T c too.

    Args:
        way: of computing it.
        state: that the pass was one of.
        one: the pass.
        before: the parameters as they were at it.
        direction: w.

    Raises:
        NotRepeatableError: the pass comes out differently.
        RuntimeError, NotImplementedError: an operator has no such derivative.
    """
    direction, scale = _scaled(state, before, direction)
    with one.moment.repeated(), differentiable():
        if way == "forward":
            tangent, found = _forward(state, one, before, direction), None
        else:
            with at_values(state.parameters, before):
                tangent, found = _reverse(state, one, direction)
    return tangent / scale, found


def _forward(state: TrainState, one: RecordedPass, before: Tensors, direction: Gradients) -> Tensor:
    parameters = state.parameters

    def function(duals: Sequence[Tensor]) -> Tensor:
        with replaced(state.module, {id(p): d for p, d in zip(parameters, duals, strict=True)}):
            return one.rerun()

    outputs, tangent = forward_product(function, before, direction)
    one.require_same(outputs)
    return tangent


def _reverse(
    state: TrainState, one: RecordedPass, direction: Gradients
) -> tuple[Tensor, Gradients]:
    with torch.enable_grad():
        outputs = one.rerun()
    one.require_same(outputs)
    one.suspects = suspects(outputs, state.module)
    products = ReverseProducts(outputs, state.parameters, after=_accumulation_hooks)
    found = products.transposed(one.cotangent)
    return products.product(direction), found


def _accumulation_hooks(theta: Tensor, g: Tensor) -> Tensor:
    """Apply the hooks that run once a gradient is accumulated, as far as they change it."""
    hooks = list((getattr(theta, "_post_accumulate_grad_hooks", None) or {}).values())
    if not hooks:
        return g
    kept, theta.grad = theta.grad, g
    try:
        for hook in hooks:
            hook(theta)
        assert theta.grad is not None
        return theta.grad
    finally:
        theta.grad = kept


def _scaled(
    state: TrainState, before: Tensors, direction: Gradients
) -> tuple[Gradients, float | Tensor]:
    """Make a direction as long as the parameters, where half precision would lose it."""
    half = state.precision is not None or any(t.dtype in _HALF for t in before)
    present = [w for w in direction if w is not None]
    if not half or not present:
        return direction, 1.0
    length = float(torch.nn.utils.get_total_norm([w.float() for w in present]))
    if length == 0 or not math.isfinite(length):
        return direction, 1.0
    scale = float(torch.nn.utils.get_total_norm([t.float() for t in before])) / length
    return [None if w is None else w * scale for w in direction], scale


_HALF = (torch.float16, torch.bfloat16)


def verify(
    way: Way, state: TrainState, passes: Sequence[RecordedPass], before: Tensors, raw: Gradients
) -> None:
    """Check a way of computing J w against the gradient of the step that was taken.

    For a direction u along the gradient g = J^T c, <c, J u> is <g, u>. Each parameter is given its
    own share of it, so that one that the repeated passes do not reach is found out. In reverse
    J^T c itself is compared as well.

    Args:
        way: to check.
        state: that was trained.
        passes: of the step.
        before: the parameters before it.
        raw: the gradient that PyTorch computed, before clipping.

    Raises:
        NotRepeatableError: they differ.
        RuntimeError, NotImplementedError: an operator has no such derivative.
    """
    weights, expected = direction_weights(raw)
    direction: Gradients = [
        None if g is None or not weight else g * weight
        for g, weight in zip(raw, weights, strict=True)
    ]
    reached = torch.zeros((), device=before[0].device, dtype=torch.float64)
    total: Gradients = [None] * len(raw)
    for one in passes:
        tangent, found = product(way, state, one, before, direction)
        reached += (one.cotangent.double() * tangent.double()).sum()
        total = [_sum(t, f) for t, f in zip(total, found or total, strict=True)]
    state.average([reached, *(g for g in total if g is not None)])
    if way == "reverse":
        require_equal(total, raw, state)
    if way == "reverse" and is_hooked(state.module):
        _require_slope(state, passes, before, direction, float(reached))
    else:
        _require_close(float(reached), expected, len(raw), state)


def direction_weights(gradient: Gradients) -> tuple[list[float], float]:
    """Return numbers w_p such that the direction w_p g_p has a share of <g, w> for each parameter.

    Parameters whose gradient is rounding have none.

    Returns:
        the numbers, and the sum of the shares.
    """
    floor = NEGLIGIBLE * max((_rms(g) for g in gradient if g is not None), default=0.0)
    weights, total = [], 0.0
    for index, g in enumerate(gradient):
        counts = g is not None and _rms(g) > floor
        share = 0.5 + index % 7 / 7 if counts else 0.0
        weights.append(
            share / float(g.double().square().sum()) if g is not None and counts else 0.0
        )
        total += share
    return weights, total


def require_total(cotangent: Tensor, tangent: Tensor, total: float, state: TrainState) -> None:
    """Raise `NotRepeatableError` unless <c, J w> is the sum that `direction_weights` gave."""
    reached = float((cotangent.double() * tangent.double()).sum())
    _require_close(reached, total, len(state.parameters), state)


def _require_close(reached: float, expected: float, count: int, state: TrainState) -> None:
    if not abs(reached - expected) <= 10 * _tolerance(state) * math.sqrt(count):
        raise NotRepeatableError(_UNLIKE)


_UNLIKE = "its gradient is not that of plain training"


def require_equal(found: Gradients, raw: Gradients, state: TrainState) -> None:
    """Raise `NotRepeatableError` unless two gradients are equal but for rounding."""
    floor = NEGLIGIBLE * max((_rms(g) for g in raw if g is not None), default=0.0)
    for mine, theirs in zip(found, raw, strict=True):
        if mine is None or theirs is None:
            one = theirs if mine is None else mine
            differ = one is not None and _rms(one) > floor
        else:
            allowed = 10 * _tolerance(state) * (_rms(theirs) + floor)
            differ = not _rms(mine.to_dense() - theirs.to_dense()) <= allowed
        if differ:
            raise NotRepeatableError(_UNLIKE)


def is_hooked(module: torch.nn.Module) -> bool:
    """Tell whether hooks may change gradients on their way or at the parameters."""
    places = [*module.parameters(), *module.modules()]
    names = ("_backward_hooks", "_backward_pre_hooks", "_post_accumulate_grad_hooks")
    return any(getattr(place, name, None) for place in places for name in names)


def _require_slope(
    state: TrainState,
    passes: Sequence[RecordedPass],
    before: Tensors,
    direction: Gradients,
    reached: float,
) -> None:
    """Check by a difference how the gradient that hooks make changes with its scale.

    A hook need not be linear, and one that works on numbers behind PyTorch's back has a gradient
    that is right and a derivative that is not.
    """
    moved, nudge = 0.0, 1e-3
    for one in passes:
        ends = []
        for factor in (1 + nudge, 1 - nudge):
            nudged = replace(one, share=one.share * factor)
            _, found = product("reverse", state, nudged, before, direction)
            assert found is not None
            pairs = [(g, u) for g, u in zip(found, direction, strict=True)]
            ends.append(
                sum(float((g * u).sum()) for g, u in pairs if g is not None and u is not None)
            )
        moved += (ends[0] - ends[1]) / (2 * nudge)
    if not abs(moved - reached) <= 0.05 * max(1.0, abs(moved)):
        raise NotRepeatableError("a hook changes gradients in a way that cannot be differentiated")


def _tolerance(state: TrainState) -> float:
    if state.precision is not None:
        return COARSE
    return max(TOLERANCE.get(theta.dtype, COARSE) for theta in state.parameters)


def _rms(g: Tensor) -> float:
    dense = g.to_dense() if g.is_sparse else g
    return float(dense.double().square().mean().sqrt()) if g.numel() else 0.0


def _sum(a: Any, b: Any) -> Any:
    if a is None:
        return b
    return a if b is None else a + b


def first_that_holds(
    ways: Sequence[Way],
    state: TrainState,
    passes: Sequence[RecordedPass],
    before: Tensors,
    raw: Gradients,
) -> Way:
    """Return the first way that gives the gradient of the step that was taken.

    Raises:
        ConfigurationError: none does; the message says why.
    """
    failures = []
    for way in ways:
        try:
            verify(way, state, passes, before, raw)
            return way
        except torch.OutOfMemoryError:
            raise
        except (NotRepeatableError, RuntimeError, NotImplementedError, TypeError) as error:
            failures.append(f"{way} ({str(error).strip().splitlines()[0]})")
    names = sorted({name for one in passes for name in one.suspects})
    if names:
        failures.append(f"likely because of {', '.join(names)}")
    raise ConfigurationError(
        f"the model supports no way of differentiating its outputs: {'; '.join(failures)}; "
        "replace the operator named; the network was updated, the loss was not"
    )
