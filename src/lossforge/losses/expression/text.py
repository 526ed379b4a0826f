"""Expressions as text: printed in function form, read in function form or infix."""

import math
from collections.abc import Sequence

from lossforge.errors import ExpressionError
from lossforge.losses.expression.primitives import ARITY
from lossforge.losses.expression.reader import read
from lossforge.losses.expression.tree import Expression


def to_text(expression: Expression) -> str:
    """Return the function form, which `parse` reads back to the same expression.

    Examples:
        >>> to_text(Expression(("mul", "y", "log", "p")))
        'mul(y, log(p))'
    """
    return weighted_text(expression, [1.0] * expression.size)


def weighted_text(
    expression: Expression, coefficients: Sequence[float], digits: int | None = None
) -> str:
    """Return the function form with the coefficients that are not 1 written before their nodes.

    Args:
        expression: the tree.
        coefficients: one number for each node, in prefix order.
        digits: significant digits to print; None prints all, so that `parse_weighted` gives back
            the same expression and numbers.

    Raises:
        ExpressionError: the number of coefficients is wrong, or one is not finite.

    Examples:
        >>> weighted_text(Expression(("mul", "y", "log", "p")), [0.5, 1.25, 1.0, 1.0])
        '0.5*mul(1.25*y, log(p))'
    """
    require_coefficients(expression, coefficients)
    parts: list[str] = []
    for symbol, coefficient in zip(
        reversed(expression.nodes), reversed(list(coefficients)), strict=True
    ):
        arguments = [parts.pop() for _ in range(ARITY[symbol])]
        call = f"{symbol}({', '.join(arguments)})" if arguments else symbol
        parts.append(_written(coefficient, digits) + call)
    return parts.pop()


def require_coefficients(expression: Expression, coefficients: Sequence[float]) -> None:
    """Raise `ExpressionError` unless there is one finite coefficient for each node."""
    if len(coefficients) != expression.size:
        raise ExpressionError(
            f"{len(coefficients)} coefficients for an expression of {expression.size} nodes; "
            "one for each is needed"
        )
    if not all(map(math.isfinite, coefficients)):
        raise ExpressionError("the coefficients of an expression must be finite")


def _written(coefficient: float, digits: int | None) -> str:
    text = repr(float(coefficient)) if digits is None else f"{coefficient:.{digits}g}"
    return "" if float(text) == 1.0 else f"{text}*"


def parse(text: str) -> Expression:
    """Read an expression in function form, ``mul(y, log(p))``, or infix, ``-y*log(p)``.

    Infix knows + - * and the square ``**2``; -x means mul(-1, x). The only numbers are 1 and -1.

    Raises:
        ExpressionError: the text is not an expression; the message says where and why.

    Examples:
        >>> to_text(parse("(y - p)**2"))
        'square(sub(y, p))'
        >>> parse("y/p")
        Traceback (most recent call last):
        ...
        lossforge.errors.ExpressionError: column 1: no division in the language; use aq(a, b) ...
    """
    return Expression(read(text, weighted=False).nodes)


def parse_weighted(text: str) -> tuple[Expression, list[float]]:
    """Read an expression with numbers in it, which become coefficients.

    A number k times x, or x divided by k, scales the coefficient of x; -x scales it by -1; a number
    alone is the terminal 1 with that coefficient (1 and -1 are terminals themselves).

    Returns:
        The expression and one coefficient for each node, in prefix order.

    Raises:
        ExpressionError: the text is not an expression; the message says where and why.

    Examples:
        >>> parse_weighted("0.5*mul(1.2*y, log(p))")[1]
        [0.5, 1.2, 1.0, 1.0]
        >>> parse_weighted("(y - p)**2/2 + 3")[1]
        [1.0, 0.5, 1.0, 1.0, 1.0, 3.0]
    """
    nodes, coefficients = read(text, weighted=True)
    return Expression(nodes), list(coefficients)
