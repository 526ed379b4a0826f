"""The hyperbolic tangent."""

import torch
from torch import Tensor

from lossforge.losses.expression.primitives.numerics import ONE, TWO
from lossforge.losses.expression.primitives.primitive import Jet, Notation, Primitive


def _tanh(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    value = torch.tanh(x, out=out)
    if order == 0:
        return Jet(value)
    first = ONE[x.dtype] - value * value
    if order == 1:
        return Jet(value, (first,))
    return Jet(value, (first,), (value * first * -TWO[x.dtype],))


TANH = Primitive(
    name="tanh",
    arity=1,
    jet=_tanh,
    torch_source="a.tanh()",
    python_source="math.tanh(a)",
    sympy_source="sympy.tanh(a)",
    rule=lambda algebra, x: algebra.odd("tanh", x),
    notation=Notation(latex=r"\tanh\left({}\right)"),
)
