"""What a function of the expression language is."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, final

import torch
from torch import Tensor

from lossforge.losses.expression.primitives.numerics import limit, through_limit

if TYPE_CHECKING:
    from lossforge.losses.expression.symbolic import Algebra

Factor = Tensor | float
"""A derivative: a tensor, or a number where it is the same everywhere (0.0: structurally zero)."""

Sign = Literal["any", "nonnegative", "positive"]
"""What is known of a function's values."""


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


class Merge(NamedTuple):
    """A symbol as a kernel with signs, which the coefficients absorb: max(a, b) = -min(-a, -b)."""

    kernel: str
    output: int = 1
    arguments: tuple[int, int] = (1, 1)


@final
@dataclass(frozen=True, slots=True)
class Notation:
    """How formulas write a function, with {} for each argument, or one {} for all.

    Attributes:
        text: in plain text; name(arguments) where empty.
        nested: the same where bars would stand within bars; as `text` where empty.
        latex: in LaTeX; an operator's name with arguments where empty.
        closed: whether an exponent may follow without brackets.
    """

    text: str = ""
    nested: str = ""
    latex: str = ""
    closed: bool = True


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Primitive:
    """A function of the language, with all that is known of it.

    Attributes:
        name: as written in expressions.
        arity: number of arguments, 1 or 2.
        jet: ``jet(order, *inputs, out=None)`` with closed-form derivatives up to `order` (0, 1
            or 2) at inputs that `limit` has passed; `out` receives the value. `by_autograd` makes
            one of a PyTorch function.
        commutative: whether the arguments may be exchanged.
        torch_source: the value in PyTorch, of arguments ``a`` and ``b``, as exports write it;
            without it, losses with the primitive are not exported.
        python_source: the same of numbers, with ``math``.
        sympy_source: the same of SymPy expressions, with ``sympy``.
        rule: ``rule(algebra, *arguments)`` builds the SymPy expression; without one, it is a
            function of which SymPy knows nothing.
        sign: what simplification may use of the function's values.
        notation: of printed formulas.
        merge: the kernel of another primitive that computes it in a program of many trees.

    Examples:
        >>> from lossforge.losses.expression import PRIMITIVES
        >>> log = PRIMITIVES["log"]
        >>> log.value(torch.tensor([0.0, -1.0])).tolist()
        [-9.2103..., 0.0]
        >>> log.first(torch.tensor([0.0, -2.0]))[0].tolist()
        [0.0, -0.5]
    """

    name: str
    arity: int
    jet: Callable[..., Jet]
    commutative: bool = False
    torch_source: str = ""
    python_source: str = ""
    sympy_source: str = ""
    rule: "Callable[..., Any] | None" = None
    sign: Sign = "any"
    notation: Notation = Notation()
    merge: Merge | None = None

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

    def symbolic(self, algebra: "Algebra", *arguments: Any) -> Any:
        """Return the primitive of SymPy expressions, simplified by its rule if it has one."""
        if self.rule is None:
            return algebra.function(self.name, *arguments)
        return self.rule(algebra, *arguments)


def by_autograd(function: Callable[..., Tensor]) -> Callable[..., Jet]:
    """Return the jet of a PyTorch function, slower than closed forms but as exact.

    Args:
        function: of one or two tensors, elementwise, twice differentiable by autograd.

    Examples:
        >>> jet = by_autograd(lambda a: a * a * a)
        >>> jet(2, torch.tensor([2.0]))
        Jet(value=tensor([8.]), first=(tensor([12.]),), second=(tensor([12.]),))
    """

    def jet(order: int, *inputs: Tensor, out: Tensor | None = None) -> Jet:
        if order == 0:
            return Jet(_written(function(*inputs), out))
        with torch.inference_mode(False), torch.enable_grad():
            leaves = [x.clone().requires_grad_() for x in inputs]
            value = function(*leaves)
            first = _gradients(value, leaves, keep=order == 2)
            second: list[Tensor] = []
            for position, slope in enumerate(first if order == 2 else ()):
                second += _gradients(slope, leaves[position:], keep=True)
        return Jet(
            _written(value.detach(), out),
            tuple(slope.detach() for slope in first),
            tuple(curvature.detach() for curvature in second),
        )

    return jet


def _gradients(value: Tensor, leaves: list[Tensor], keep: bool) -> tuple[Tensor, ...]:
    if not value.requires_grad:
        return tuple(map(torch.zeros_like, leaves))
    return torch.autograd.grad(
        value.sum(), leaves, create_graph=keep, retain_graph=keep, materialize_grads=True
    )


def _written(value: Tensor, out: Tensor | None) -> Tensor:
    return value if out is None else out.copy_(value)


def _dense(factor: Factor, like: Tensor) -> Tensor:
    return factor if isinstance(factor, Tensor) else torch.full_like(like, factor)
