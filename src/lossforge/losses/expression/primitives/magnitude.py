"""Absolute value and sign, with derivatives sign(x) and 0."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lossforge.losses.expression.primitives.primitive import Jet, Notation, Primitive

if TYPE_CHECKING:
    from lossforge.losses.expression.symbolic import Algebra


def _sign(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    # torch.sign(NaN) is 0: the second term keeps NaN.
    return Jet(torch.add(x.sign(), x, alpha=0, out=out), (0.0,), (0.0,))


def _abs(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    return Jet(torch.abs(x, out=out), (x.sign(),) if order else (), (0.0,))


def _sign_of_factor(algebra: "Algebra", x: Any) -> Any:
    if x.is_Number:
        return int(bool(x > 0)) - int(bool(x < 0))
    if algebra.is_positive(x):
        return 1
    if algebra.is_function(x, "sign") or algebra.is_indicator(x):
        return x
    if x.is_Pow:
        return _sign_of_factor(algebra, x.base) ** x.exp
    negative = x.could_extract_minus_sign()
    return -algebra.function("sign", -x) if negative else algebra.function("sign", x)


def _abs_of_factor(algebra: "Algebra", x: Any) -> Any:
    if x.is_Number:
        return abs(x)
    for signed in (x, -x):
        if algebra.is_never_negative(signed):
            return signed
    if x.is_Pow:
        return x.base ** (x.exp - 1) * _abs_of_factor(algebra, x.base)
    return algebra.function("abs", algebra.upright(x))


SIGN = Primitive(
    name="sign",
    arity=1,
    jet=_sign,
    torch_source="a.sign() + 0 * a",
    python_source="float((a > 0) - (a < 0))",
    sympy_source="sympy.sign(a)",
    rule=lambda algebra, x: algebra.factorwise(_sign_of_factor, x),
)
ABS = Primitive(
    name="abs",
    arity=1,
    jet=_abs,
    torch_source="a.abs()",
    python_source="abs(a)",
    sympy_source="sympy.Abs(a)",
    rule=lambda algebra, x: algebra.factorwise(_abs_of_factor, x),
    sign="nonnegative",
    notation=Notation("|{}|", nested="abs({})", latex=r"\left|{}\right|"),
)
