"""The exponential, continued by its tangent from `MOST` on, so that no value overflows."""

import torch
from torch import Tensor

from lossforge.losses.expression.primitives.numerics import ONE
from lossforge.losses.expression.primitives.primitive import Jet, Notation, Primitive

MOST = 34.0
"""Its exponential is just within the limit that arguments have."""


def _exp(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    curved = x.clamp_max(MOST).exp()
    value = torch.mul(curved, (x - MOST).relu() + ONE[x.dtype], out=out)
    if order < 2:
        return Jet(value, (curved,) if order else ())
    return Jet(value, (curved,), (curved * (x <= MOST),))


EXP = Primitive(
    name="exp",
    arity=1,
    jet=_exp,
    torch_source=f"a.clamp_max({MOST!r}).exp() * ((a - {MOST!r}).relu() + 1)",
    python_source=f"math.exp(min(a, {MOST!r})) * (max(a - {MOST!r}, 0.0) + 1)",
    sympy_source="sympy.exp(a)",
    sign="positive",
    notation=Notation(latex=r"\exp\left({}\right)"),
)
