"""Rows and edges: a program of nothing but index tensors gives the trees' values."""

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lossforge.losses.expression import PRIMITIVES, evaluate
from lossforge.losses.expression.generate import grow_tree
from lossforge.losses.expression.layout import Layout, lay_out

populations = st.lists(
    st.integers(0, 10**6).map(lambda seed: grow_tree(4, Random(seed), 1)), min_size=1, max_size=6
)


def run(layout: Layout, y: Tensor, p: Tensor, coefficients: Tensor) -> Tensor:
    """Values of all trees [trees, W] for inputs [inputs, W], a level at a time."""
    sources = layout.shared_sources if len(p) == 1 else layout.own_sources
    scales = (coefficients.flatten()[layout.slots] * layout.signs)[:, None]
    nodes = sum(layout.node_sizes)
    state = torch.cat([torch.zeros(nodes, p.shape[1]), torch.ones(1, p.shape[1]), p, y])
    *levels, roots = sources.split(layout.edge_sizes)
    *level_scales, root_scales = scales.split(layout.edge_sizes)
    row = 0
    for level, rows, scale in zip(layout.levels, levels, level_scales, strict=True):
        flow, count = state[rows] * scale, len(level.nodes)
        done = 0
        for name, width in level.kernels:
            arguments = [flow[done : done + width]]
            if PRIMITIVES[name].arity == 2:
                arguments.append(flow[count + done : count + done + width])
            state[row + done : row + done + width] = PRIMITIVES[name].value(*arguments)
            done += width
        row += count
    return state[roots] * root_scales


@pytest.mark.parametrize("own", [False, True], ids=["shared inputs", "own inputs"])
@given(trees=populations, seed=st.integers(0, 99))
@settings(max_examples=25)
def test_the_layout_is_the_trees(own, trees, seed):
    size = max(tree.size for tree in trees) + 2
    layout = lay_out(trees, size, torch.device("cpu"), torch.float64)
    generator = torch.Generator().manual_seed(seed)
    inputs = len(trees) if own else 1
    y, p = torch.randn(2, inputs, 3, generator=generator, dtype=torch.float64)
    coefficients = 1 + 0.3 * torch.randn(len(trees), size, generator=generator, dtype=torch.float64)
    found = run(layout, y, p, coefficients)
    for at, tree in enumerate(trees):
        i = at if own and len(trees) > 1 else 0
        expected = evaluate(tree, y[i], p[i], coefficients[at, : tree.size]).expand(3)
        torch.testing.assert_close(found[at], expected)


@given(populations)
@settings(max_examples=25)
def test_consumers_are_the_edges_that_start_from_the_nodes(trees):
    layout = lay_out(trees, 40, torch.device("cpu"), torch.float32)
    nodes = torch.arange(sum(layout.node_sizes))
    assert torch.equal(layout.shared_sources[layout.consumers], nodes)
    assert torch.equal(layout.own_sources[layout.consumers], nodes)
    assert sum(layout.edge_sizes) == len(layout.slots) == len(layout.slots.unique())
    assert layout.trees == len(trees)
