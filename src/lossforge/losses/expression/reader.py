"""Reading expressions as people write them.

Text is parsed by Python's own grammar into a syntax tree, which is walked and never executed.
"""

import ast
import math
import re
import warnings
from difflib import get_close_matches
from typing import NamedTuple, final

from lossforge.errors import ExpressionError
from lossforge.losses.expression.primitives import PRIMITIVES, TERMINALS

MAX_LENGTH = 200_000
MAX_NESTING = 150
_TOO_DEEP = f"the expression is nested more than {MAX_NESTING} levels deep"
_INPUTS = tuple(name for name in TERMINALS if name.isidentifier())


class Weighted(NamedTuple):
    """The nodes of a tree in prefix order, and their coefficients."""

    nodes: tuple[str, ...]
    coefficients: tuple[float, ...]

    def scaled(self, factor: float) -> "Weighted":
        """Return the tree with its root's coefficient multiplied by `factor`."""
        return Weighted(self.nodes, (self.coefficients[0] * factor, *self.coefficients[1:]))


def _node(symbol: str, *arguments: Weighted) -> Weighted:
    nodes, coefficients = [symbol], [1.0]
    for argument in arguments:
        nodes += argument.nodes
        coefficients += argument.coefficients
    return Weighted(tuple(nodes), tuple(coefficients))


def read(text: str, *, weighted: bool) -> Weighted:
    """Read a tree from text.

    Args:
        text: function form or infix.
        weighted: whether numbers become coefficients; if not, 1 and -1 are the only ones.

    Raises:
        ExpressionError: the text is not an expression; the message says where and why.

    Examples:
        >>> read("2*y", weighted=True)
        Weighted(nodes=('y',), coefficients=(2.0,))
    """
    try:
        tree = _Reader(weighted).convert(_syntax_tree(text.strip()))
    except RecursionError:
        raise ExpressionError(_TOO_DEEP) from None
    if not all(map(math.isfinite, tree.coefficients)):
        raise ExpressionError("the numbers of the expression multiply to more than can be held")
    return tree


@final
class _Reader:
    """Reads syntax trees; with `weighted`, numbers become coefficients."""

    def __init__(self, weighted: bool) -> None:
        self.weighted = weighted

    def convert(self, node: ast.expr) -> Weighted:
        literal = _literal(node)
        if literal is not None:
            return self.convert_number(node, literal)
        match node:
            case ast.Name():
                return self.convert_name(node)
            case ast.Call():
                return self.convert_call(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                tree = self.convert(operand)
                return tree.scaled(-1.0) if self.weighted else _node("mul", _node("-1"), tree)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.convert(operand)
            case ast.BinOp():
                return self.convert_operator(node)
        raise self.error(node, "not in the language; use + - *, **2 and the functions")

    def convert_number(self, node: ast.expr, number: float) -> Weighted:
        if abs(number) == 1.0:
            return _node("1" if number > 0 else "-1")
        if not self.weighted:
            raise self.error(node, f"the number {number:g} is not in the language; 1 and -1 are")
        return _node("1").scaled(number)

    def convert_name(self, node: ast.Name) -> Weighted:
        if node.id in _INPUTS:
            return _node(node.id)
        if node.id in PRIMITIVES:
            raise self.error(node, f"{node.id!r} is a function; write its arguments after it")
        raise self.error(node, f"no input is named {node.id[:30]!r}; use {' or '.join(_INPUTS)}")

    def convert_call(self, node: ast.Call) -> Weighted:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in PRIMITIVES:
            near = get_close_matches(name, PRIMITIVES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(PRIMITIVES)}"
            raise self.error(node, f"no function is named {name[:30]!r}; {hint}")
        arity = PRIMITIVES[name].arity
        if len(node.args) != arity or node.keywords:
            raise self.error(node, f"{name} takes {arity} argument(s), not {len(node.args)}")
        return _node(name, *map(self.convert, node.args))

    def convert_operator(self, node: ast.BinOp) -> Weighted:
        match node.op:
            case ast.Pow():
                if _literal(node.right) != 2.0:
                    raise self.error(node.right, "the only power in the language is **2")
                return _node("square", self.convert(node.left))
            case ast.Mult() if self.weighted:
                return self.convert_product(node)
            case ast.Add() | ast.Sub() | ast.Mult():
                name = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}[type(node.op)]
                return _node(name, self.convert(node.left), self.convert(node.right))
            case ast.Div():
                return self.convert_quotient(node)
        raise self.error(node, "no such operator in the language; use + - * and **2")

    def convert_product(self, node: ast.BinOp) -> Weighted:
        for factor, other in ((node.left, node.right), (node.right, node.left)):
            number = _number(factor)
            if number is not None:
                return self.convert(other).scaled(number)
        return _node("mul", self.convert(node.left), self.convert(node.right))

    def convert_quotient(self, node: ast.BinOp) -> Weighted:
        number = _number(node.right) if self.weighted else None
        if number is None:
            raise self.error(node, "no division in the language; use aq(a, b) for a/sqrt(1 + b**2)")
        if number == 0.0:
            raise self.error(node, "division by zero")
        return self.convert(node.left).scaled(1.0 / number)

    def error(self, node: ast.expr, why: str) -> ExpressionError:
        return ExpressionError(f"column {node.col_offset + 1}: {why}")


def _literal(node: ast.expr) -> float | None:
    """Return the value of a number with or without signs."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _finite(node, value)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            number = _literal(operand)
            return -number if number is not None and isinstance(sign, ast.USub) else number
    return None


def _number(node: ast.expr) -> float | None:
    """Return the value of a product or quotient of numbers."""
    match node:
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as operator, right=right):
            a, b = _number(left), _number(right)
            if a is None or b is None:
                return None
            return a * b if isinstance(operator, ast.Mult) else a / b if b else None
    return _literal(node)


def _finite(node: ast.Constant, value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise ExpressionError(f"column {node.col_offset + 1}: the number is too large")
    return number


def _syntax_tree(text: str) -> ast.expr:
    if not text:
        raise ExpressionError("the expression is empty")
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the text has {len(text)} characters; at most {MAX_LENGTH} are read")
    # One line of ASCII, in which column and character are the same.
    line = re.sub(r"\s", " ", text)
    foreign = re.search(r"[^A-Za-z0-9_.+\-*/(), ]", line)
    if foreign:
        raise ExpressionError(
            f"column {foreign.start() + 1}: unexpected character {foreign.group()!r}"
        )
    try:
        with warnings.catch_warnings(action="error"):
            root: ast.expr = ast.parse(line, mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(f"column {error.offset or 1}: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise ExpressionError(_TOO_DEEP) from None
    _require_shallow(root)
    return root


def _require_shallow(root: ast.expr) -> None:
    level: list[ast.AST] = [root]
    for _ in range(MAX_NESTING):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise ExpressionError(_TOO_DEEP)
