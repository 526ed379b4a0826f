"""Safe numerics: the functions of the expression language and their closed-form derivatives.

The hypergradient differentiates a learned loss twice, so every primitive has a finite value, first
and second derivative for every input that is not NaN, in float32 and in float64:

- Inputs are first limited to ±`LIMIT`, where products and squares are still far from overflow in
  float32. From the limit on, infinities included, the derivative is zero.
- ``log(x)`` means ½·log(x² + ε²) and ``sqrt(x)`` means (x² + ε²)^¼ with ε = `EPSILON`: smooth forms
  of log|x| and √|x| whose curvature is bounded.
- ``aq(a, b)`` is the analytic quotient a/√(1 + b²) (Ni, Drieberg and Rockett 2013).
- ``sign`` has derivative 0, ``abs`` has derivative sign(x), and ``min`` and ``max`` give half of
  the derivative to each argument where they tie.

NaN passes through: hiding it would turn a diverged network into a plausible number.

A product of many such derivatives can still overflow. A loss that gets there has diverged, and
training reports it so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from types import MappingProxyType
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional as F

LIMIT = 1e15
EPSILON = 1e-4
TERMINALS = ("y", "p", "1", "-1")

Factor = Tensor | float
"""A derivative: a tensor, or a number where it is the same everywhere (0.0: structurally zero)."""


class Jet(NamedTuple):
    """A primitive's value and closed-form derivatives at inputs within the limit.

    Attributes:
        value: f, in the shape of the inputs.
        first: f' of a unary primitive as (f_a,), of a binary one (f_a, f_b); empty at order 0.
        second: (f_aa,) or (f_aa, f_ab, f_bb); empty below order 2.
    """

    value: Tensor
    first: tuple[Factor, ...] = ()
    second: tuple[Factor, ...] = ()


def limit(x: Tensor) -> Tensor:
    """Clamp to ±`LIMIT`; the derivative is zero from the limit on, and NaN stays NaN.

    Examples:
        >>> limit(torch.tensor([2.0, -torch.inf])).tolist()
        [2.0, -999999986991104.0]
    """
    return F.hardtanh(x, -LIMIT, LIMIT)


def through_limit(gradient: Tensor, limited: Tensor) -> Tensor:
    """Return `gradient` where `limited`, an output of `limit`, is inside the limit, else zero."""
    result: Tensor = torch.ops.aten.hardtanh_backward(gradient, limited, -LIMIT, LIMIT)
    return result


def through_limit_(gradient: Tensor, limited: Tensor) -> None:
    """Set `gradient` to zero, in place, where `limited` is at the limit."""
    torch.ops.aten.hardtanh_backward.grad_input(
        gradient, limited, -LIMIT, LIMIT, grad_input=gradient
    )


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + eˣ) with derivatives of every order that neither overflow nor switch.

    PyTorch's own is the identity above a threshold, where its derivative jumps.

    Examples:
        >>> round(softplus(torch.tensor(0.0)).item(), 4)
        0.6931
    """
    return -F.logsigmoid(-x)


@final
@dataclass(frozen=True, slots=True)
class Primitive:
    """A function of the language.

    Attributes:
        name: as written in expressions.
        arity: number of arguments, 1 or 2.
        commutative: whether the arguments may be exchanged.
        jet: ``jet(order, *inputs, out=None)`` with closed-form derivatives up to `order` (0, 1
            or 2) at inputs that `limit` has passed; `out` receives the value.

    Examples:
        >>> log = PRIMITIVES["log"]
        >>> log.value(torch.tensor([0.0, -1.0])).tolist()
        [-9.2103..., 0.0]
        >>> log.first(torch.tensor([0.0, -2.0]))[0].tolist()
        [0.0, -0.5]
    """

    name: str
    arity: int
    commutative: bool
    jet: Callable[..., Jet]

    def value(self, *args: Tensor) -> Tensor:
        """Return f(args), differentiable any number of times by autograd in every mode.

        Args:
            *args: `arity` tensors of float32 or float64 that broadcast together.
        """
        return self.jet(0, *map(limit, args)).value

    def first(self, *args: Tensor) -> tuple[Tensor, ...]:
        """Return (f',) of a unary primitive, (f_a, f_b) of a binary one, in closed form.

        Args:
            *args: `arity` tensors of one shape.
        """
        limited = [limit(a) for a in args]
        jet = self.jet(1, *limited)
        return tuple(
            through_limit(_dense(factor, x), x)
            for factor, x in zip(jet.first, limited, strict=True)
        )

    def second(self, *args: Tensor) -> tuple[Tensor, ...]:
        """Return (f'',) of a unary primitive, (f_aa, f_ab, f_bb) of a binary one, in closed form.

        Args:
            *args: `arity` tensors of one shape.
        """
        limited = [limit(a) for a in args]
        jet = self.jet(2, *limited)
        pairs = combinations_with_replacement(limited, 2)
        return tuple(
            through_limit(through_limit(_dense(factor, a), a), b)
            for factor, (a, b) in zip(jet.second, pairs, strict=True)
        )


def _dense(factor: Factor, like: Tensor) -> Tensor:
    return factor if isinstance(factor, Tensor) else torch.full_like(like, factor)


_HALF, _ONE, _THREE_HALVES, _TWO, _THREE, _SOFTENING = (
    {dtype: torch.tensor(number, dtype=dtype) for dtype in (torch.float32, torch.float64)}
    for number in (0.5, 1.0, 1.5, 2.0, 3.0, EPSILON**2)
)
"""Numbers as tensors: PyTorch converts a Python number anew at every use, which takes as long as
the operation itself on the small tensors of one batch."""


def _add(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    return Jet(torch.add(a, b, out=out), (1.0, 1.0), (0.0, 0.0, 0.0))


def _sub(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    return Jet(torch.sub(a, b, out=out), (1.0, -1.0), (0.0, 0.0, 0.0))


def _mul(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    return Jet(torch.mul(a, b, out=out), (b, a), (0.0, 1.0, 0.0))


def _aq(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    """Multiply in an order in which no product overflows, as b³ would in float32."""
    root = (b * b + _ONE[b.dtype]).sqrt()
    value = torch.div(a, root, out=out)
    if order == 0:
        return Jet(value)
    inverse = root.reciprocal()
    ratio = b * inverse
    decay = ratio * inverse
    first = (inverse, -(value * decay))
    if order == 1:
        return Jet(value, first)
    bend = ratio * ratio * _THREE[b.dtype] - _ONE[b.dtype]
    return Jet(value, first, (0.0, -(decay * inverse), value * inverse * inverse * bend))


def _min(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    value = torch.minimum(a, b, out=out)
    if order == 0:
        return Jet(value)
    larger, smaller = _shares(a, b)
    return Jet(value, (smaller, larger), (0.0, 0.0, 0.0))


def _max(order: int, a: Tensor, b: Tensor, out: Tensor | None = None) -> Jet:
    value = torch.maximum(a, b, out=out)
    if order == 0:
        return Jet(value)
    return Jet(value, _shares(a, b), (0.0, 0.0, 0.0))


def _shares(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 where a > b, ½ where they tie, 0 elsewhere; and the complement."""
    half = _HALF[a.dtype]
    offset = (a - b).sign() * half
    return half + offset, half - offset


def _sign(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    # torch.sign(NaN) is 0: the second term keeps NaN.
    return Jet(torch.add(x.sign(), x, alpha=0, out=out), (0.0,), (0.0,))


def _square(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    return Jet(torch.mul(x, x, out=out), (x + x,) if order else (), (2.0,))


def _abs(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    return Jet(torch.abs(x, out=out), (x.sign(),) if order else (), (0.0,))


def _log(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    squared = x * x + _SOFTENING[x.dtype]
    value = torch.mul(squared.log(), _HALF[x.dtype], out=out)
    if order == 0:
        return Jet(value)
    first = x / squared
    if order == 1:
        return Jet(value, (first,))
    return Jet(value, (first,), (squared.reciprocal() - first * first * _TWO[x.dtype],))


def _sqrt(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    squared = x * x + _SOFTENING[x.dtype]
    value = torch.sqrt(squared.sqrt(), out=out)
    if order == 0:
        return Jet(value)
    scaled = value / squared * _HALF[x.dtype]
    first = x * scaled
    if order == 1:
        return Jet(value, (first,))
    bend = _ONE[x.dtype] - x * (x / squared) * _THREE_HALVES[x.dtype]
    return Jet(value, (first,), (scaled * bend,))


def _tanh(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    value = torch.tanh(x, out=out)
    if order == 0:
        return Jet(value)
    first = _ONE[x.dtype] - value * value
    if order == 1:
        return Jet(value, (first,))
    return Jet(value, (first,), (value * first * -_TWO[x.dtype],))


PRIMITIVES: Mapping[str, Primitive] = MappingProxyType(
    {
        primitive.name: primitive
        for primitive in (
            Primitive("add", 2, True, _add),
            Primitive("sub", 2, False, _sub),
            Primitive("mul", 2, True, _mul),
            Primitive("aq", 2, False, _aq),
            Primitive("min", 2, True, _min),
            Primitive("max", 2, True, _max),
            Primitive("sign", 1, False, _sign),
            Primitive("square", 1, False, _square),
            Primitive("abs", 1, False, _abs),
            Primitive("log", 1, False, _log),
            Primitive("sqrt", 1, False, _sqrt),
            Primitive("tanh", 1, False, _tanh),
        )
    }
)
