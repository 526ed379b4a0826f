"""The protected logarithm ½·log(x² + ε²): log|x|, smooth and of bounded curvature at 0."""

import torch
from torch import Tensor

from lossforge.losses.expression.primitives.numerics import EPSILON, HALF, SOFTENING, TWO
from lossforge.losses.expression.primitives.primitive import Jet, Notation, Primitive


def _log(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    squared = x * x + SOFTENING[x.dtype]
    value = torch.mul(squared.log(), HALF[x.dtype], out=out)
    if order == 0:
        return Jet(value)
    first = x / squared
    if order == 1:
        return Jet(value, (first,))
    return Jet(value, (first,), (squared.reciprocal() - first * first * TWO[x.dtype],))


LOG = Primitive(
    name="log",
    arity=1,
    jet=_log,
    torch_source=f"0.5 * (a * a + {EPSILON**2!r}).log()",
    python_source=f"0.5 * math.log(a * a + {EPSILON**2!r})",
    sympy_source=f"sympy.log(a * a + {EPSILON**2!r}) / 2",
    rule=lambda algebra, x: algebra.function("log", algebra.even(x)),
    notation=Notation("log|{}|", nested="log(abs({}))", latex=r"\log\left|{}\right|", closed=False),
)
