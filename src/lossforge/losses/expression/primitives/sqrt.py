"""The protected root (x² + ε²)^¼: √|x|, smooth and of bounded curvature at 0."""

import torch
from torch import Tensor

from lossforge.losses.expression.primitives.numerics import (
    EPSILON,
    HALF,
    ONE,
    SOFTENING,
    THREE_HALVES,
)
from lossforge.losses.expression.primitives.primitive import Jet, Notation, Primitive


def _sqrt(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    squared = x * x + SOFTENING[x.dtype]
    value = torch.sqrt(squared.sqrt(), out=out)
    if order == 0:
        return Jet(value)
    scaled = value / squared * HALF[x.dtype]
    first = x * scaled
    if order == 1:
        return Jet(value, (first,))
    bend = ONE[x.dtype] - x * (x / squared) * THREE_HALVES[x.dtype]
    return Jet(value, (first,), (scaled * bend,))


SQRT = Primitive(
    name="sqrt",
    arity=1,
    jet=_sqrt,
    torch_source=f"(a * a + {EPSILON**2!r}).sqrt().sqrt()",
    python_source=f"math.sqrt(math.sqrt(a * a + {EPSILON**2!r}))",
    sympy_source=f"sympy.sqrt(sympy.sqrt(a * a + {EPSILON**2!r}))",
    rule=lambda algebra, x: algebra.function("sqrt", algebra.even(x)),
    sign="positive",
    notation=Notation(
        "√|{}|", nested="√(abs({}))", latex=r"\sqrt{{\left|{}\right|}}", closed=False
    ),
)
