"""Expressions in SymPy, by identities that hold under the safe semantics of the primitives.

Sums, products and squares are SymPy's own. Every other primitive is a function named as in the
language, of which SymPy knows nothing: its log and sqrt are not the protected ones, and its
questions about signs and reals are slow. The primitives' rules apply as such a function is built.
Each keeps the value up to rounding while values stay within the limit of the primitives.

The analytic quotient aq(a, b) becomes a·damp(b) with damp(b) = 1/√(1 + b²), linear in a.

Importing SymPy takes half a second, so this module is imported where it is needed, not before.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, final

import sympy
import torch

from lossforge.losses.expression.primitives import ARITY, PRIMITIVES
from lossforge.losses.expression.primitives.primitive import Sign
from lossforge.losses.expression.tree import Expression

Symbolic = Any
"""A SymPy expression; SymPy has no types."""

MAX_TERMS = 48
"""Terms to which sums are multiplied out; larger products stay functions of their factors."""

MAX_KEY = 500
"""Length of a key in characters; longer ones are replaced by their hash."""

MAX_BITS = 64
"""Size of an integer coefficient, which repeated squares would double every time."""

Y, P = sympy.symbols("y p")
POSITIVE = frozenset({"damp"})
"""Positive functions that stand for a part of a primitive."""


@lru_cache
def function(name: str) -> Symbolic:
    """Return the SymPy function of that name, of which SymPy knows nothing."""
    return sympy.Function(name)


@lru_cache(maxsize=2**12)
def key(expr: Symbolic) -> str:
    """Return a short text that two SymPy expressions share only if they are the same.

    Examples:
        >>> key(2 * Y + P)
        'Add(Mul(2,y),p)'
    """
    if not expr.args:
        return str(expr)
    arguments = [key(argument) for argument in expr.args]
    if expr.is_Add or expr.is_Mul:
        arguments.sort()
    text = f"{expr.func.__name__}({','.join(arguments)})"
    # Multiplying out repeats parts, and the repetitions repeat in turn.
    return text if len(text) <= MAX_KEY else hashlib.blake2b(text.encode()).hexdigest()


@final
@dataclass(frozen=True, slots=True)
class Algebra:
    """Builds SymPy nodes from primitives.

    Attributes:
        expand: multiply sums out.
        readable: replace functions of numbers by numbers, and keep max as it is; else max(a, b) is
            -min(-a, -b), so that the two forms of one function become one.
        labels: use what holds in classification by labels: y is 0 or 1, and p is positive. A root's
            square then becomes an absolute value, from which it differs by at most `EPSILON`.

    Examples:
        >>> Algebra(expand=True, readable=True).build("square", Y - P)
        p**2 - 2*p*y + y**2
    """

    expand: bool
    readable: bool
    labels: bool = False

    def convert(
        self, expression: Expression, coefficients: Sequence[float] | None = None
    ) -> Symbolic:
        """Return an expression, with coefficients if there are any, in SymPy.

        Args:
            expression: the tree.
            coefficients: one number for each node, in prefix order.
        """
        stack: list[Symbolic] = []
        for position in reversed(range(expression.size)):
            symbol = expression.nodes[position]
            arguments = [stack.pop() for _ in range(ARITY[symbol])]
            if symbol == "abs" and expression.nodes[position + 1] == "square":
                # Multiplied out, a square no longer shows that it cannot be negative.
                weight = 1.0 if coefficients is None else coefficients[position + 1]
                node = arguments[0] if weight >= 0 else -arguments[0]
            else:
                node = self.build(symbol, *arguments)
            if coefficients is not None and coefficients[position] != 1.0:
                node = self.mul(sympy.Float(coefficients[position]), node)
            stack.append(node)
        return stack.pop()

    def build(self, symbol: str, *arguments: Symbolic) -> Symbolic:
        """Return the node of a symbol of the language."""
        if not arguments:
            return _TERMINALS[symbol]
        if self.readable and all(argument.is_Number for argument in arguments):
            return self.fold(symbol, *arguments)
        return PRIMITIVES[symbol].symbolic(self, *arguments)

    def function(self, name: str, *arguments: Symbolic) -> Symbolic:
        """Return a function of that name, of which SymPy knows nothing."""
        return function(name)(*arguments)

    def fold(self, symbol: str, *numbers: Symbolic) -> Symbolic:
        """Return a primitive's value for numbers as a number."""
        tensors = [torch.tensor(float(number), dtype=torch.float64) for number in numbers]
        value = float(PRIMITIVES[symbol].value(*tensors))
        whole = value.is_integer() and abs(value) < 2**53
        return sympy.Integer(value) if whole else sympy.Float(value)

    def add(self, a: Symbolic, b: Symbolic) -> Symbolic:
        """Return a + b, as a function if it has too many terms."""
        if len(_terms(a)) + len(_terms(b)) > MAX_TERMS or _bits(a) + _bits(b) > MAX_BITS:
            return function("add")(*sorted((a, b), key=key))
        return a + b

    def mul(self, a: Symbolic, b: Symbolic) -> Symbolic:
        """Return a·b, as a function if it has too many terms."""
        if self._too_large(a, b):
            return function("mul")(*sorted((a, b), key=key))
        if not self.expand:
            return self._reduced(a * b)
        return sympy.Add(*(self._reduced(s * t) for s in _terms(a) for t in _terms(b)))

    def square(self, x: Symbolic) -> Symbolic:
        """Return x², as a function if it has too many terms."""
        x = self.even(x)
        if self._too_large(x, x):
            return function("square")(x)
        return self.mul(x, x) if self.expand else self._reduced(x**2)

    def extremum(self, name: str, *arguments: Symbolic) -> Symbolic:
        """Return the "min" or "max" of arguments, nested ones in one, without repetitions."""
        flat = {
            part
            for argument in arguments
            for part in (argument.args if self.is_function(argument, name) else (argument,))
        }
        numbers = {argument for argument in flat if argument.is_Number}
        of_numbers = min if name == "min" else max
        kept = sorted(flat - numbers, key=key) + ([of_numbers(numbers)] if numbers else [])
        return kept[0] if len(kept) == 1 else function(name)(*kept)

    def factorwise(self, rule: Callable[["Algebra", Symbolic], Symbolic], x: Symbolic) -> Symbolic:
        """Return the product of what a rule makes of the factors, as |a·b| is |a|·|b|."""
        return sympy.Mul(*(rule(self, factor) for factor in _factors(x)))

    def odd(self, name: str, x: Symbolic) -> Symbolic:
        """Return an odd function with the sign before it."""
        if x.is_zero:
            return x
        return -function(name)(-x) if x.could_extract_minus_sign() else function(name)(x)

    def even(self, x: Symbolic) -> Symbolic:
        """Return the argument of an even function without sign, and factors without abs."""
        factors = _factors(x)
        if any(self.is_function(factor, "abs") for factor in factors):
            x = reduce(self.mul, (f.args[0] if self.is_function(f, "abs") else f for f in factors))
        return self.upright(x)

    @staticmethod
    def upright(x: Symbolic) -> Symbolic:
        """Return x or -x, whichever has no minus sign before it."""
        return -x if x.could_extract_minus_sign() else x

    @staticmethod
    def is_function(x: Symbolic, name: str) -> bool:
        """Return whether x is a function of that name."""
        return bool(x.is_Function) and x.func.__name__ == name

    def is_positive(self, x: Symbolic) -> bool:
        """Return whether x is known to be positive."""
        if self.labels and x == P:
            return True
        return bool(x.is_Function) and _sign(x.func.__name__) == "positive"

    def is_indicator(self, x: Symbolic) -> bool:
        """Return whether x is known to be 0 or 1, so that it is its own sign and powers."""
        return self.labels and bool(x == Y)

    def is_never_negative(self, x: Symbolic) -> bool:
        """Return whether x is known not to be negative."""
        if x.is_Number:
            return bool(x >= 0)
        if self.is_indicator(x) or self.is_positive(x):
            return True
        if x.is_Add or x.is_Mul:
            return all(map(self.is_never_negative, x.args))
        if x.is_Function:
            return _sign(x.func.__name__) != "any"
        return bool(x.is_Pow and x.exp % 2 == 0)

    def _reduced(self, product: Symbolic) -> Symbolic:
        """Return a product with the powers of labels and roots written by what they are."""
        if not self.labels:
            return product
        return sympy.Mul(*(self._reduced_power(factor) for factor in _factors(product)))

    def _reduced_power(self, x: Symbolic) -> Symbolic:
        if not x.is_Pow:
            return x
        if self.is_indicator(x.base):
            return x.base
        if self.is_function(x.base, "sqrt"):
            half, odd = divmod(int(x.exp), 2)
            return self.build("abs", x.base.args[0]) ** half * x.base**odd
        return x

    def _too_large(self, a: Symbolic, b: Symbolic) -> bool:
        terms = len(_terms(a)) * len(_terms(b)) if self.expand else 1
        return terms > MAX_TERMS or _bits(a) + _bits(b) + terms.bit_length() > MAX_BITS


def plain(expression: Expression, coefficients: Sequence[float] | None = None) -> Symbolic:
    """Return an expression in SymPy with every primitive a bare function, quickly.

    Examples:
        >>> plain(Expression(("square", "sub", "y", "p")))
        square(sub(y, p))
    """
    stack: list[Symbolic] = []
    for position in reversed(range(expression.size)):
        symbol = expression.nodes[position]
        arguments = [stack.pop() for _ in range(ARITY[symbol])]
        node = function(symbol)(*arguments) if arguments else _TERMINALS[symbol]
        stack.append(node if coefficients is None else sympy.Float(coefficients[position]) * node)
    return stack.pop()


_TERMINALS = {"y": Y, "p": P, "1": sympy.S.One, "-1": sympy.S.NegativeOne}


def _terms(x: Symbolic) -> Sequence[Symbolic]:
    return sympy.Add.make_args(x)  # type: ignore[no-any-return]


def _factors(x: Symbolic) -> Sequence[Symbolic]:
    return sympy.Mul.make_args(x)  # type: ignore[no-any-return]


def _bits(x: Symbolic) -> int:
    """Return the size of the largest integer coefficient."""
    numbers = (term.as_coeff_Mul()[0] for term in _terms(x))
    return max(int(number.p).bit_length() if number.is_Integer else 1 for number in numbers)


def _sign(name: str) -> Sign:
    if name in POSITIVE:
        return "positive"
    return PRIMITIVES[name].sign if name in PRIMITIVES else "any"
