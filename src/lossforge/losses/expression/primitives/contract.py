"""What every primitive promises: finite values and derivatives that belong together."""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lossforge.errors import ConfigurationError
from lossforge.losses.expression.primitives.numerics import LIMIT
from lossforge.losses.expression.primitives.primitive import Primitive

TOLERANCE = 1e-6
POINTS = 200


def require_sound(primitive: Primitive) -> None:
    """Raise `ConfigurationError` where a primitive breaks its promises.

    Value, slope and curvature are finite for every input but NaN in float32 and float64, the closed
    forms are the derivatives of the value, and NaN passes through.
    """
    for dtype in (torch.float32, torch.float64):
        _require_finite(primitive, special_arguments(primitive.arity, dtype))
    _require_derivatives(primitive, _random_arguments(primitive.arity))
    for position in range(primitive.arity):
        arguments = [torch.ones(1, dtype=torch.float64) for _ in range(primitive.arity)]
        arguments[position] = torch.full_like(arguments[position], math.nan)
        if not bool(primitive.value(*arguments).isnan().all()):
            raise ConfigurationError(f"{primitive.name} hides NaN; let it pass through")


def special_arguments(arity: int, dtype: torch.dtype) -> list[Tensor]:
    """Return all combinations of numbers at which functions break: zero, tiny, huge, infinite."""
    info = torch.finfo(dtype)
    positive = [info.tiny, 1e-8, 1e-4, 0.5, 1.0, 3.0, 1e6, LIMIT, 1e30, info.max, math.inf]
    grid = [0.0, *positive, *(-x for x in positive)]
    points = torch.tensor(list(itertools.product(grid, repeat=arity)), dtype=dtype)
    return list(points.unbind(1))


def derivatives(
    primitive: Primitive, arguments: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Return the value and its first and second derivatives, the latter by autograd."""
    leaves = [a.clone().requires_grad_() for a in arguments]
    value = primitive.value(*leaves)
    first = _gradients(value, leaves)
    second: list[Tensor] = []
    for position, slope in enumerate(first):
        second += _gradients(slope, leaves[position:])
    return value.detach(), [slope.detach() for slope in first], second


def _gradients(value: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    if not value.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return list(torch.autograd.grad(value.sum(), leaves, create_graph=True, materialize_grads=True))


def _parts(primitive: Primitive, arguments: Sequence[Tensor]) -> Iterator[tuple[str, Tensor]]:
    yield "value", primitive.value(*arguments)
    for what, found in (
        ("slope", primitive.first(*arguments)),
        ("curvature", primitive.second(*arguments)),
    ):
        for each in found:
            yield what, each


def _require_finite(primitive: Primitive, arguments: Sequence[Tensor]) -> None:
    for what, found in _parts(primitive, arguments):
        if found.dtype != arguments[0].dtype:
            raise ConfigurationError(
                f"the {what} of {primitive.name} is {found.dtype} for {arguments[0].dtype}"
            )
        wrong = ~found.isfinite()
        if bool(wrong.any()):
            at = ", ".join(f"{argument[wrong][0].item():g}" for argument in arguments)
            raise ConfigurationError(
                f"the {what} of {primitive.name} is not finite at ({at}) in {found.dtype}; bound it"
            )


def _require_derivatives(primitive: Primitive, arguments: Sequence[Tensor]) -> None:
    _, *by_autograd = derivatives(primitive, arguments)
    closed = primitive.first(*arguments), primitive.second(*arguments)
    for what, found, expected in zip(("slope", "curvature"), closed, by_autograd, strict=True):
        for one, other in zip(found, expected, strict=True):
            if not torch.allclose(one, other.detach(), rtol=TOLERANCE, atol=TOLERANCE):
                raise ConfigurationError(f"the {what} of {primitive.name} is not its value's")


def _random_arguments(arity: int) -> list[Tensor]:
    draw = torch.randn(arity, POINTS, generator=torch.Generator().manual_seed(0)).double()
    return list(3 * draw)
