"""Expressions simplified: a key under which equal losses meet, and a formula to read.

SymPy does the work, off the hot path and within limits of size and time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, final

from torch import Tensor

from lossforge.losses.expression import primitives
from lossforge.losses.expression.deadline import within
from lossforge.losses.expression.primitives import PRIMITIVES
from lossforge.losses.expression.render import LATEX, TEXT, Renderer
from lossforge.losses.expression.text import require_coefficients, to_text
from lossforge.losses.expression.tree import Expression


@final
@dataclass(frozen=True, slots=True)
class Formula:
    """A loss to read.

    Attributes:
        text: infix, with numbers rounded.
        latex: the same as LaTeX, without delimiters.
        sympy: the SymPy expression in the symbols y and p, with numbers in full precision. The
            functions in it are bare names with the language's meaning; damp(b) is 1/√(1 + b²).
    """

    text: str
    latex: str
    sympy: Any


def canonical(expression: Expression, *, time_limit: float = 2.0) -> str:
    """Return a text that only equal functions of (y, p) share, up to rounding.

    Algebraic identities that are safe are applied: commutativity, sums and products multiplied out
    where they stay small, odd and even functions, and the like. Functions that are equal for
    deeper reasons may keep different texts.

    Args:
        expression: the tree, all of its coefficients taken as one.
        time_limit: seconds after which the plain text is returned instead.

    Examples:
        >>> from lossforge.losses.expression.text import parse
        >>> canonical(parse("(y - p)**2")) == canonical(parse("p*p - p*y + y*y - y*p"))
        True
    """
    return _canonical(expression, time_limit)


@lru_cache(maxsize=2**14)
def _canonical(expression: Expression, time_limit: float) -> str:
    from lossforge.losses.expression.symbolic import Algebra, key

    algebra = Algebra(expand=True, readable=False)
    try:
        found = within(time_limit, lambda: key(algebra.convert(expression)))
    except RecursionError:
        found = None
    return to_text(expression) if found is None else found


def simplify(
    expression: Expression,
    coefficients: Sequence[float] | None = None,
    *,
    softplus: bool = False,
    labels: bool = False,
    digits: int = 4,
    time_limit: float = 5.0,
) -> Formula:
    """Return an expression with its coefficients as a simplified formula.

    Of the forms with sums multiplied out and left as they are, the shorter one is chosen.

    Args:
        expression: the tree.
        coefficients: one number for each node, in prefix order; all ones if None.
        softplus: whether the loss is log(1 + eˣ) of the expression.
        labels: whether to use that y is 0 or 1 and p positive, as in classification by labels; the
            formula then need not hold for probabilities as targets.
        digits: significant digits of numbers in print.
        time_limit: seconds after which the expression is given as it is, in function form.

    Raises:
        ExpressionError: the number of coefficients is wrong, or one is not finite.

    Examples:
        >>> from lossforge.losses.expression.text import parse
        >>> print(simplify(parse("-y*log(p) + y - y")).text)
        -y·log|p|
        >>> print(simplify(parse("y*y*abs(p)*sign(p)"), labels=True).text)
        p·y
    """
    from lossforge.losses.expression.symbolic import Algebra, function, plain

    if coefficients is not None:
        require_coefficients(expression, coefficients)
    text = Renderer(TEXT, digits)

    def shortest() -> Any:
        forms = [
            Algebra(expand, readable=True, labels=labels).convert(expression, coefficients)
            for expand in (False, True)
        ]
        return min(forms, key=lambda form: len(text.render(form)))

    found = within(time_limit, shortest)
    expr = plain(expression, coefficients) if found is None else found
    expr = function("softplus")(expr) if softplus else expr
    return Formula(text.render(expr), Renderer(LATEX, digits).render(expr), expr)


def evaluate_sympy(expr: Any, y: Tensor, p: Tensor) -> Tensor:
    """Evaluate a formula's SymPy expression on tensors, by the safe primitives.

    Args:
        expr: the ``sympy`` of a `Formula`.
        y: targets, float32 or float64.
        p: predictions, in the shape of y.

    Returns:
        The loss of each pair, in the shape of p.

    Examples:
        >>> import torch
        >>> from lossforge.losses.expression.text import parse
        >>> formula = simplify(parse("(y - p)**2"))
        >>> evaluate_sympy(formula.sympy, torch.tensor([3.0]), torch.tensor([1.0])).tolist()
        [4.0]
    """
    return _evaluate(expr, {"y": y, "p": p}).expand_as(p)


def _evaluate(expr: Any, inputs: dict[str, Tensor]) -> Tensor:
    if expr.is_Symbol:
        return inputs[expr.name]
    if expr.is_Number:
        return inputs["p"].new_tensor(float(expr))
    if expr.is_Pow:
        return _power(_evaluate(expr.base, inputs), int(expr.exp))
    arguments = [_evaluate(argument, inputs) for argument in expr.args]
    name = expr.func.__name__.lower()
    if name == "damp":
        return PRIMITIVES["aq"].value(inputs["p"].new_ones(()), *arguments)
    function: Callable[..., Tensor] = (
        primitives.softplus if name == "softplus" else PRIMITIVES[name].value
    )
    return reduce(function, arguments) if len(arguments) > 1 else function(*arguments)


def _power(base: Tensor, exponent: int) -> Tensor:
    if exponent == 1:
        return base
    root = _power(base, exponent // 2)
    square = PRIMITIVES["square"].value(root)
    return PRIMITIVES["mul"].value(square, base) if exponent % 2 else square
