"""Minimum and maximum; where the arguments tie, each has half of the derivative."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lossforge.losses.expression.primitives.numerics import HALF
from lossforge.losses.expression.primitives.primitive import Jet, Merge, Notation, Primitive

if TYPE_CHECKING:
    from lossforge.losses.expression.symbolic import Algebra


def _min(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    value = torch.minimum(a, b, out=out)
    if order == 0:
        return Jet(value)
    larger, smaller = _shares(a, b)
    return Jet(value, (smaller, larger), (0.0, 0.0, 0.0))


def _max(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    value = torch.maximum(a, b, out=out)
    if order == 0:
        return Jet(value)
    return Jet(value, _shares(a, b), (0.0, 0.0, 0.0))


def _shares(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 where a > b, ½ where they tie, 0 elsewhere; and the complement."""
    half = HALF[a.dtype]
    offset = (a - b).sign() * half
    return half + offset, half - offset


def _max_rule(algebra: "Algebra", a: Any, b: Any) -> Any:
    """Return max(a, b), or -min(-a, -b), so that the two forms of one function become one."""
    if algebra.readable:
        return algebra.extremum("max", a, b)
    return -algebra.extremum("min", -a, -b)


MIN = Primitive(
    name="min",
    arity=2,
    jet=_min,
    commutative=True,
    torch_source="torch.minimum(a, b)",
    python_source="min(a, b)",
    sympy_source="sympy.Min(a, b)",
    rule=lambda algebra, a, b: algebra.extremum("min", a, b),
    notation=Notation(latex=r"\min\left({}\right)"),
)
MAX = Primitive(
    name="max",
    arity=2,
    jet=_max,
    commutative=True,
    torch_source="torch.maximum(a, b)",
    python_source="max(a, b)",
    sympy_source="sympy.Max(a, b)",
    rule=_max_rule,
    notation=Notation(latex=r"\max\left({}\right)"),
    merge=Merge("min", output=-1, arguments=(-1, -1)),
)
