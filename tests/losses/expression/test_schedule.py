"""Levels, kernels and signs: interpreted one node at a time they give the trees' values."""

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lossforge.losses.expression import PRIMITIVES, Expression, evaluate, parse
from lossforge.losses.expression.generate import grow_tree
from lossforge.losses.expression.schedule import Node, merged, schedule

populations = st.lists(
    st.integers(0, 10**6).map(lambda seed: grow_tree(5, Random(seed), 1)), min_size=1, max_size=6
)


def interpreted(trees: list[Expression], y: Tensor, p: Tensor, c: list[Tensor]) -> list[Tensor]:
    """The trees' values, from the schedule alone, one node at a time."""
    terminals = {"y": y, "p": p, "1": torch.ones_like(y)}
    values: dict[Node, Tensor] = {}

    def along(child: Node, sign: int) -> Tensor:
        if child not in values:
            symbol = merged(trees[child.tree].nodes[child.position]).kernel
            values[child] = terminals[symbol]
        return sign * c[child.tree][child.position] * values[child]

    for level in schedule(trees):
        names = [name for name, count in level.kernels for _ in range(count)]
        count = len(level.nodes)
        for row, (node, name) in enumerate(zip(level.nodes, names, strict=True)):
            edges = [level.edges[row]]
            edges += [level.edges[count + row]] if row < level.binary else []
            assert all(edge.child not in values or edge.child != node for edge in edges)
            values[node] = PRIMITIVES[name].value(*(along(*edge) for edge in edges))
    return [
        along(Node(tree, 0), merged(expression.nodes[0]).output)
        for tree, expression in enumerate(trees)
    ]


@given(populations, st.integers(0, 99))
@settings(max_examples=40)
def test_the_schedule_is_the_trees(trees, seed):
    generator = torch.Generator().manual_seed(seed)
    y, p = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    rows = [
        1 + 0.3 * torch.randn(tree.size, generator=generator, dtype=torch.float64) for tree in trees
    ]
    for tree, row, found in zip(trees, rows, interpreted(trees, y, p, rows), strict=True):
        torch.testing.assert_close(found, evaluate(tree, y, p, row).expand_as(p))


@given(populations)
@settings(max_examples=40)
def test_every_inner_node_is_computed_once_and_after_its_arguments(trees):
    levels = schedule(trees)
    seen: set[Node] = set()
    for level in levels:
        for edge in level.edges:
            inner = trees[edge.child.tree].children(edge.child.position)
            assert not inner or edge.child in seen
        assert not seen & set(level.nodes)
        seen |= set(level.nodes)
        assert sum(count for _, count in level.kernels) == len(level.nodes)
        arities = [PRIMITIVES[name].arity for name, _ in level.kernels]
        assert arities == sorted(arities, reverse=True)
        assert len(level.edges) == len(level.nodes) + level.binary
    inner = {
        Node(tree, position)
        for tree, expression in enumerate(trees)
        for position in range(expression.size)
        if expression.children(position)
    }
    assert seen == inner


@pytest.mark.parametrize(
    ("text", "kernel"), [("y - p", "add"), ("max(y, p)", "min"), ("min(y, p)", "min")]
)
def test_what_another_kernel_computes_is_merged(text, kernel):
    (level,) = schedule([parse(text)])
    assert level.kernels == ((kernel, 1),)


def test_like_nodes_of_many_trees_are_one_operation():
    trees = [parse(text) for text in ("max(y, p)", "min(p, y)", "y + p", "p - y", "log(p)")]
    (level,) = schedule(trees)
    assert dict(level.kernels) == {"min": 2, "add": 2, "log": 1}
