"""The analytic quotient a/√(1 + b²) (Ni, Drieberg and Rockett 2013), which has no pole."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lossforge.losses.expression.primitives.numerics import ONE, THREE
from lossforge.losses.expression.primitives.primitive import Jet, Primitive

if TYPE_CHECKING:
    from lossforge.losses.expression.symbolic import Algebra


def _aq(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    """Multiply in an order in which no product overflows, as b³ would in float32."""
    root = (b * b + ONE[b.dtype]).sqrt()
    value = torch.div(a, root, out=out)
    if order == 0:
        return Jet(value)
    inverse = root.reciprocal()
    ratio = b * inverse
    decay = ratio * inverse
    first = (inverse, -(value * decay))
    if order == 1:
        return Jet(value, first)
    bend = ratio * ratio * THREE[b.dtype] - ONE[b.dtype]
    return Jet(value, first, (0.0, -(decay * inverse), value * inverse * inverse * bend))


def _rule(algebra: "Algebra", a: Any, b: Any) -> Any:
    """Return a·damp(b) with damp(b) = 1/√(1 + b²): linear in a."""
    b = algebra.even(b)
    if b.is_Number and (algebra.readable or b.is_zero):
        return algebra.mul(a, algebra.fold("aq", 1, b))
    return algebra.mul(a, algebra.function("damp", b))


AQ = Primitive(
    name="aq",
    arity=2,
    jet=_aq,
    torch_source="a / (b * b + 1).sqrt()",
    python_source="a / math.sqrt(b * b + 1)",
    sympy_source="a / sympy.sqrt(b * b + 1)",
    rule=_rule,
)
