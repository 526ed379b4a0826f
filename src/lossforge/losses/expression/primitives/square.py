"""The square."""

import torch
from torch import Tensor

from lossforge.losses.expression.primitives.primitive import Jet, Primitive


def _square(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    return Jet(torch.mul(x, x, out=out), (x + x,) if order else (), (2.0,))


SQUARE = Primitive(
    name="square",
    arity=1,
    jet=_square,
    torch_source="a * a",
    python_source="a * a",
    sympy_source="a * a",
    rule=lambda algebra, x: algebra.square(x),
)
