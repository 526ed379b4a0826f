"""Expressions: immutable trees in prefix order, and their evaluation one at a time."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from lossforge.errors import ConfigurationError, ExpressionError
from lossforge.losses.expression.primitives import ARITY, PRIMITIVES, limit


@final
@dataclass(frozen=True, slots=True)
class Expression:
    """A loss as a tree of primitives over the target y, the prediction p and the numbers ±1.

    A tree of n nodes has n coefficients: coefficient i multiplies the value of node i as it flows
    along its edge to its parent, the root's to the output (EvoMAL, "transition to a trainable
    loss").

    Attributes:
        nodes: the symbols in prefix order.

    Raises:
        ExpressionError: a symbol is unknown, or the symbols are not exactly one tree.

    Examples:
        >>> e = Expression(("mul", "y", "log", "p"))
        >>> e.size, e.depth, e.has_both_inputs
        (4, 2, True)
        >>> e.replace(3, Expression(("square", "p"))).nodes
        ('mul', 'y', 'log', 'square', 'p')
    """

    nodes: tuple[str, ...]

    def __post_init__(self) -> None:
        missing = 1
        for position, symbol in enumerate(self.nodes):
            if symbol not in ARITY:
                raise ExpressionError(
                    f"unknown symbol {symbol!r} at node {position}; known: {', '.join(ARITY)}"
                )
            if missing == 0:
                raise ExpressionError(
                    f"the tree is complete before node {position} ({symbol!r}); drop the rest"
                )
            missing += ARITY[symbol] - 1
        if missing:
            raise ExpressionError(f"the tree ends too early: {missing} more argument(s) needed")

    @property
    def size(self) -> int:
        """Number of nodes, which is the number of coefficients."""
        return len(self.nodes)

    @property
    def depth(self) -> int:
        """Edges on the longest path from the root; 0 for a terminal."""
        deepest = 0
        pending = [0]
        for symbol in self.nodes:
            level = pending.pop()
            deepest = max(deepest, level)
            pending.extend([level + 1] * ARITY[symbol])
        return deepest

    @property
    def symbols(self) -> frozenset[str]:
        """The distinct symbols."""
        return frozenset(self.nodes)

    @property
    def has_both_inputs(self) -> bool:
        """Whether the tree contains y and p, as every loss must."""
        return "y" in self.nodes and "p" in self.nodes

    def span(self, index: int) -> slice:
        """Return where in `nodes` the subtree rooted at node `index` lies."""
        stop = index
        missing = 1
        while missing:
            missing += ARITY[self.nodes[stop]] - 1
            stop += 1
        return slice(index, stop)

    def children(self, index: int) -> tuple[int, ...]:
        """Return the nodes that are the arguments of node `index`, in order."""
        arity = ARITY[self.nodes[index]]
        if arity < 2:
            return (index + 1,) * arity
        return index + 1, self.span(index + 1).stop

    def subtree(self, index: int) -> "Expression":
        """Return the expression rooted at node `index`."""
        return _unchecked(self.nodes[self.span(index)])

    def replace(self, index: int, other: "Expression") -> "Expression":
        """Return this expression with the subtree at node `index` exchanged for `other`."""
        span = self.span(index)
        return _unchecked(self.nodes[: span.start] + other.nodes + self.nodes[span.stop :])


def _unchecked(nodes: tuple[str, ...]) -> Expression:
    """Build from parts of valid trees without walking them again: genetic operators live on it."""
    expression = object.__new__(Expression)
    object.__setattr__(expression, "nodes", nodes)
    return expression


def evaluate(
    expression: Expression, y: Tensor, p: Tensor, coefficients: Tensor | None = None
) -> Tensor:
    """Evaluate one expression elementwise; differentiable in every mode, and under ``vmap``.

    Args:
        expression: the tree.
        y: targets, float32 or float64.
        p: predictions, in the shape of y.
        coefficients: [size], in prefix order; all ones if None.

    Returns:
        The loss of each pair, in the shape of p.

    Raises:
        ConfigurationError: the number of coefficients is not the number of nodes.

    Examples:
        >>> import torch
        >>> squared = Expression(("square", "sub", "y", "p"))
        >>> evaluate(squared, torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])).tolist()
        [0.25, 0.25]
    """
    if coefficients is not None and coefficients.shape != (expression.size,):
        raise ConfigurationError(
            f"coefficients have shape {list(coefficients.shape)}; "
            f"the expression needs [{expression.size}]"
        )
    leaves = {"y": limit(y), "p": limit(p), "1": p.new_ones(()), "-1": -p.new_ones(())}
    # Backwards through prefix order, the arguments of a node are the last values pushed.
    stack: list[Tensor] = []
    for position in reversed(range(expression.size)):
        symbol = expression.nodes[position]
        if symbol in leaves:
            value = leaves[symbol]
        else:
            primitive = PRIMITIVES[symbol]
            value = primitive.value(*(stack.pop() for _ in range(primitive.arity)))
        stack.append(value if coefficients is None else coefficients[position] * value)
    return stack.pop().expand_as(p)
