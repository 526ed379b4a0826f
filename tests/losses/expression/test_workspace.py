"""Sweeps over a population in one memory: the numbers of autograd, call after call."""

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lossforge.losses.expression import Expression, evaluate, parse
from lossforge.losses.expression.generate import grow_tree
from lossforge.losses.expression.layout import lay_out
from lossforge.losses.expression.workspace import Workspace

WIDTH = 5
populations = st.lists(
    st.integers(0, 10**6).map(lambda seed: grow_tree(4, Random(seed), 1)), min_size=2, max_size=5
)


def draw(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def expected(tree: Expression, y: Tensor, p: Tensor, row: Tensor, adjoint: Tensor):
    """Value, slope, and the derivative by the coefficients of <(value, slope), adjoint>."""
    leaf, c = p.clone().requires_grad_(), row[: tree.size].clone().requires_grad_()
    value = evaluate(tree, y, leaf, c).expand_as(p)
    slope = torch.zeros_like(p)
    if value.requires_grad:
        (slope,) = torch.autograd.grad(value.sum(), leaf, create_graph=True, materialize_grads=True)
    total = (value * adjoint[0]).sum() + (slope * adjoint[1]).sum()
    (mixed,) = torch.autograd.grad(total, c, materialize_grads=True)
    return value.detach(), slope.detach(), mixed


@pytest.mark.parametrize("own", [False, True], ids=["shared inputs", "own inputs"])
@given(trees=populations, seed=st.integers(0, 99))
@settings(max_examples=25)
def test_both_sweeps_are_autograd_s_however_often_the_memory_is_used(own, trees, seed):
    size = max(tree.size for tree in trees)
    layout = lay_out(trees, size, torch.device("cpu"), torch.float64)
    inputs = len(trees) if own else 1
    workspace = Workspace(layout, inputs, WIDTH)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(2):
        y, p = draw(generator, inputs, WIDTH), draw(generator, inputs, WIDTH)
        rows = 1 + 0.3 * draw(generator, len(trees), size)
        adjoint = draw(generator, 2, len(trees), WIDTH)
        scaled = (rows.flatten()[layout.slots] * layout.signs)[:, None]
        workspace.forward(y, p, scaled, 2)
        values, slopes = workspace.output.clone()
        workspace.output_adjoint.copy_(adjoint)
        found = torch.zeros(len(trees) * size, dtype=torch.float64)
        found[layout.slots] = workspace.backward(scaled) * layout.signs
        for at, tree in enumerate(trees):
            i = at if own else 0
            value, slope, mixed = expected(tree, y[i], p[i], rows[at], adjoint[:, at])
            torch.testing.assert_close(values[at], value)
            torch.testing.assert_close(slopes[at], slope)
            scale = max(1.0, float(mixed.abs().max()))
            torch.testing.assert_close(
                found.view(len(trees), size)[at, : tree.size] / scale, mixed / scale
            )


@pytest.mark.parametrize("inputs", [1, 3])
def test_the_memory_is_what_is_told(inputs, monkeypatch):
    trees = [parse(text) for text in ("square(y - p)", "log(p)*y", "tanh(max(y, p))")]
    layout = lay_out(trees, 8, torch.device("cpu"), torch.float32)
    taken = []
    empty = torch.Tensor.new_empty

    def counting(tensor: Tensor, *shape, **options) -> Tensor:
        found = empty(tensor, *shape, **options)
        taken.append(found.numel() * found.element_size())
        return found

    like = torch.empty_like

    def counting_like(tensor: Tensor, **options) -> Tensor:
        found = like(tensor, **options)
        taken.append(found.numel() * found.element_size())
        return found

    monkeypatch.setattr(torch.Tensor, "new_empty", counting)
    monkeypatch.setattr(torch, "empty_like", counting_like)
    Workspace(layout, inputs, 7)
    # The factors of the edges to the output are told and not needed.
    spare = layout.trees * 4 * 7
    assert sum(taken) == 7 * Workspace.bytes_per_column(layout, inputs) - spare
