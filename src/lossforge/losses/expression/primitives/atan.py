"""The arc tangent: like tanh, but with heavier tails."""

import torch
from torch import Tensor

from lossforge.losses.expression.primitives.numerics import ONE, TWO
from lossforge.losses.expression.primitives.primitive import Jet, Notation, Primitive


def _atan(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    value = torch.atan(x, out=out)
    if order == 0:
        return Jet(value)
    first = (x * x + ONE[x.dtype]).reciprocal()
    if order == 1:
        return Jet(value, (first,))
    return Jet(value, (first,), (x * first * first * -TWO[x.dtype],))


ATAN = Primitive(
    name="atan",
    arity=1,
    jet=_atan,
    torch_source="a.atan()",
    python_source="math.atan(a)",
    sympy_source="sympy.atan(a)",
    rule=lambda algebra, x: algebra.odd("atan", x),
    notation=Notation(latex=r"\arctan\left({}\right)"),
)
