"""Sum, difference and product."""

import torch
from torch import Tensor

from lossforge.losses.expression.primitives.primitive import Jet, Merge, Primitive


def _add(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    return Jet(torch.add(a, b, out=out), (1.0, 1.0), (0.0, 0.0, 0.0))


def _sub(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    return Jet(torch.sub(a, b, out=out), (1.0, -1.0), (0.0, 0.0, 0.0))


def _mul(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    return Jet(torch.mul(a, b, out=out), (b, a), (0.0, 1.0, 0.0))


ADD = Primitive(
    name="add",
    arity=2,
    jet=_add,
    commutative=True,
    torch_source="a + b",
    python_source="a + b",
    sympy_source="a + b",
    rule=lambda algebra, a, b: algebra.add(a, b),
)
SUB = Primitive(
    name="sub",
    arity=2,
    jet=_sub,
    torch_source="a - b",
    python_source="a - b",
    sympy_source="a - b",
    rule=lambda algebra, a, b: algebra.add(a, -b),
    merge=Merge("add", arguments=(1, -1)),
)
MUL = Primitive(
    name="mul",
    arity=2,
    jet=_mul,
    commutative=True,
    torch_source="a * b",
    python_source="a * b",
    sympy_source="a * b",
    rule=lambda algebra, a, b: algebra.mul(a, b),
)
