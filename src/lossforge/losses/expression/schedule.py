"""The order in which many unlike trees are evaluated together: by level, then by kernel.

A node's level is its height, so that its arguments lie on lower levels; the nodes of one level with
the same kernel are one tensor operation. Delaying nodes to levels where their kernel runs anyway
(Neubig, Goldberg and Dyer 2017) was tried: it saves 2 of 34 operations for 25 trees of depth 2 to
4, because most nodes have no slack, and is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, final

from lossforge.losses.expression.primitives import PRIMITIVES, Merge
from lossforge.losses.expression.tree import Expression


class Node(NamedTuple):
    """A node of the population: the tree and the position in its prefix order."""

    tree: int
    position: int


class Edge(NamedTuple):
    """The way from a node to its parent, or to the output, with the sign that merging gives it."""

    child: Node
    sign: int


@final
@dataclass(frozen=True, slots=True)
class Level:
    """What is evaluated together: the nodes of one height.

    Attributes:
        nodes: sorted by kernel.
        kernels: (name, number of nodes) in the order of `nodes`.
        binary: number of nodes with two arguments; they come first.
        edges: first arguments of all nodes, then second arguments of the binary ones.
    """

    nodes: tuple[Node, ...]
    kernels: tuple[tuple[str, int], ...]
    binary: int
    edges: tuple[Edge, ...]


def merged(symbol: str) -> Merge:
    """Return the kernel and signs that stand for `symbol`.

    Examples:
        >>> merged("sub")
        Merge(kernel='add', output=1, arguments=(1, -1))
    """
    if symbol == "-1":
        return Merge("1", output=-1)
    primitive = PRIMITIVES.get(symbol)
    merge = None if primitive is None else primitive.merge
    return Merge(symbol) if merge is None else merge


def schedule(expressions: Sequence[Expression]) -> list[Level]:
    """Return the levels of a population of trees from the lowest up.

    Examples:
        >>> trees = [Expression(("square", "sub", "y", "p")), Expression(("add", "y", "p"))]
        >>> [level.kernels for level in schedule(trees)]
        [(('add', 2),), (('square', 1),)]
    """
    kernels = _kernels()
    by_height: dict[int, list[tuple[int, Node, tuple[int, ...]]]] = {}
    for tree, expression in enumerate(expressions):
        children = [expression.children(i) for i in range(expression.size)]
        for position, height in enumerate(_heights(children)):
            if height:
                kernel = kernels.index(merged(expression.nodes[position]).kernel)
                by_height.setdefault(height, []).append(
                    (kernel, Node(tree, position), children[position])
                )
    return [_level(sorted(by_height[height]), kernels, expressions) for height in sorted(by_height)]


def _kernels() -> list[str]:
    """Return all functions, binary ones first.

    The second arguments of a level are thus those of its first rows.
    """
    return sorted(PRIMITIVES, key=lambda name: -PRIMITIVES[name].arity)


def _heights(children: list[tuple[int, ...]]) -> list[int]:
    heights = [0] * len(children)
    for position in reversed(range(len(children))):
        heights[position] = 1 + max((heights[child] for child in children[position]), default=-1)
    return heights


def _level(
    rows: list[tuple[int, Node, tuple[int, ...]]],
    kernels: Sequence[str],
    expressions: Sequence[Expression],
) -> Level:
    def edge(node: Node, argument: int, child: int) -> Edge:
        symbols = expressions[node.tree].nodes
        sign = merged(symbols[node.position]).arguments[argument] * merged(symbols[child]).output
        return Edge(Node(node.tree, child), sign)

    binary = [row for row in rows if len(row[2]) == 2]
    return Level(
        nodes=tuple(node for _, node, _ in rows),
        kernels=tuple(
            (kernels[kernel], len(list(group)))
            for kernel, group in groupby(rows, lambda row: row[0])
        ),
        binary=len(binary),
        edges=tuple(
            [edge(node, 0, children[0]) for _, node, children in rows]
            + [edge(node, 1, children[1]) for _, node, children in binary]
        ),
    )
