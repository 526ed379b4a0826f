"""Where everything of a population lies: rows of nodes and edges as index tensors on the device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch

from lossforge.losses.expression.schedule import Edge, Level, Node, merged, schedule
from lossforge.losses.expression.tree import Expression


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """Rows of nodes and edges.

    The state has a row for each node that is not a terminal, level by level, then one for the
    number 1, then those of p, then those of y: one each where all trees share the inputs, else one
    for each tree. Edges have rows of their own: level by level, and the roots' to the output last.

    Attributes:
        levels: from the lowest up.
        shared_sources: [edges], rows of the state that edges start from, inputs shared.
        own_sources: [edges], the same where each tree has inputs of its own.
        consumers: [nodes], edges that start from the nodes of the levels.
        slots: [edges], places of the edges' coefficients in the flattened [trees, size].
        signs: [edges], ±1, by which merging kernels changes coefficients.
        trees: number of trees.
    """

    levels: tuple[Level, ...]
    shared_sources: torch.Tensor
    own_sources: torch.Tensor
    consumers: torch.Tensor
    slots: torch.Tensor
    signs: torch.Tensor
    trees: int

    @property
    def node_sizes(self) -> list[int]:
        """Number of nodes of each level."""
        return [len(level.nodes) for level in self.levels]

    @property
    def edge_sizes(self) -> list[int]:
        """Number of edges into each level, and into the output."""
        return [*(len(level.edges) for level in self.levels), self.trees]


def lay_out(
    expressions: Sequence[Expression], size: int, device: torch.device, dtype: torch.dtype
) -> Layout:
    """Return the layout of a population.

    Args:
        expressions: the trees.
        size: number of coefficients that a row of them holds, at least the largest tree's.
        device: where the index tensors go.
        dtype: type of the signs.
    """
    levels = tuple(schedule(expressions))
    nodes = [node for level in levels for node in level.nodes]
    roots = [
        Edge(Node(tree, 0), merged(expression.nodes[0]).output)
        for tree, expression in enumerate(expressions)
    ]
    edges = [edge for level in levels for edge in level.edges] + roots
    edge_of = {edge.child: row for row, edge in enumerate(edges)}

    def index(rows: list[int]) -> torch.Tensor:
        return torch.tensor(rows, dtype=torch.int64, device=device)

    return Layout(
        levels=levels,
        shared_sources=index(_sources(edges, nodes, expressions, shared=True)),
        own_sources=index(_sources(edges, nodes, expressions, shared=False)),
        consumers=index([edge_of[node] for node in nodes]),
        slots=index([edge.child.tree * size + edge.child.position for edge in edges]),
        signs=torch.tensor([edge.sign for edge in edges], dtype=dtype, device=device),
        trees=len(expressions),
    )


def _sources(
    edges: list[Edge], nodes: list[Node], expressions: Sequence[Expression], shared: bool
) -> list[int]:
    row_of = {node: row for row, node in enumerate(nodes)}
    one = len(nodes)
    inputs = 1 if shared else len(expressions)

    def source(node: Node) -> int:
        symbol = merged(expressions[node.tree].nodes[node.position]).kernel
        if symbol == "1":
            return one
        if symbol in ("p", "y"):
            first = one + 1 if symbol == "p" else one + 1 + inputs
            return first if shared else first + node.tree
        return row_of[node]

    return [source(edge.child) for edge in edges]
