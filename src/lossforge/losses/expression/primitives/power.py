"""A power whose exponent is an argument, and so can be learned: |a|^b.

It is exp(b·log|a|) with the protected logarithm ½·log(a² + ε²), the exponent b limited to
±`MOST_EXPONENT` and b·log|a| to ±`MOST_LOG`: from there on, the derivative is zero. ``power(a, 1)``
with the coefficient c on its 1 is |a|^c.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lossforge.losses.expression.primitives.numerics import EPSILON, HALF, ONE, SOFTENING, TWO
from lossforge.losses.expression.primitives.primitive import Jet, Notation, Primitive

MOST_EXPONENT = 4.0
MOST_LOG = 34.0
"""Its exponential is just within the limit that arguments have."""


def _power(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    squared = a * a + SOFTENING[a.dtype]
    log = squared.log() * HALF[a.dtype]
    exponent = F.hardtanh(b, -MOST_EXPONENT, MOST_EXPONENT)
    product = exponent * log
    value = torch.exp(F.hardtanh(product, -MOST_LOG, MOST_LOG), out=out)
    if order == 0:
        return Jet(value)
    moves = value * (product.abs() < MOST_LOG)
    by_exponent = moves * (b.abs() < MOST_EXPONENT)
    ratio = a / squared
    first = (moves * exponent * ratio, by_exponent * log)
    if order == 1:
        return Jet(value, first)
    bend = squared.reciprocal() + (exponent - TWO[a.dtype]) * ratio * ratio
    second = (
        moves * exponent * bend,
        by_exponent * ratio * (product + ONE[a.dtype]),
        by_exponent * log * log,
    )
    return Jet(value, first, second)


_EXPONENT, _LOG = repr(MOST_EXPONENT), repr(MOST_LOG)
POWER = Primitive(
    name="power",
    arity=2,
    jet=_power,
    torch_source=f"(b.clamp(-{_EXPONENT}, {_EXPONENT}) * ((a * a + {EPSILON**2!r}).log() * 0.5))"
    f".clamp(-{_LOG}, {_LOG}).exp()",
    python_source=f"math.exp(min(max(min(max(b, -{_EXPONENT}), {_EXPONENT})"
    f" * (math.log(a * a + {EPSILON**2!r}) * 0.5), -{_LOG}), {_LOG}))",
    sympy_source=f"(a * a + {EPSILON**2!r}) ** (b / 2)",
    rule=lambda algebra, a, b: algebra.function("power", algebra.even(a), b),
    sign="positive",
    notation=Notation("|{}|^({})", latex=r"\left|{}\right|^{{{}}}", closed=False),
)
