"""Many unlike trees at once give what autograd gives for each on its own."""

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lossforge.errors import ConfigurationError
from lossforge.losses.expression import Expression, Program
from lossforge.losses.expression.generate import grow_tree
from lossforge.losses.expression.primitives import softplus as smooth
from lossforge.losses.expression.text import parse
from lossforge.losses.expression.tree import evaluate

populations = st.lists(
    st.integers(0, 10**6).map(lambda seed: grow_tree(5, Random(seed), 1)), min_size=1, max_size=9
)


def draw(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def reference(
    expression: Expression, y: Tensor, p: Tensor, tangent: Tensor, row: Tensor, softplus: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Value, slope and mixed derivative of one tree by autograd."""
    c = row[: expression.size].clone().requires_grad_()
    p = p.clone().requires_grad_()
    value = evaluate(expression, y, p, c).expand_as(p)
    value = smooth(value) if softplus else value
    if not value.requires_grad:
        return value, torch.zeros_like(p), torch.zeros_like(c)
    (slope,) = torch.autograd.grad(value.sum(), p, create_graph=True, materialize_grads=True)
    along = (slope * tangent).sum()
    if not along.requires_grad:
        return value.detach(), slope.detach(), torch.zeros_like(c)
    (mixed,) = torch.autograd.grad(along, c, materialize_grads=True)
    return value.detach(), slope.detach(), mixed


@given(populations, st.integers(0, 99), st.booleans(), st.booleans())
@settings(max_examples=60)
def test_value_slope_and_mixed_derivative_are_those_of_autograd(trees, seed, softplus, own):
    count, size = len(trees), max(tree.size for tree in trees)
    shape = (count, 7, 3) if own else (7, 3)
    y, p, tangent = (draw(seed + i, *shape) for i in range(3))
    coefficients = 1 + 0.3 * draw(seed + 3, count, size)
    program = Program(trees, softplus=softplus, dtype=torch.float64)
    value, slope, mixed = program.mixed(y, p, tangent, coefficients)
    torch.testing.assert_close(program.value(y, p, coefficients), value)
    torch.testing.assert_close(program.slope(y, p, coefficients)[1], slope)
    for i, tree in enumerate(trees):
        pair = (x[i] if own else x for x in (y, p, tangent))
        expected = reference(tree, *pair, coefficients[i], softplus)
        torch.testing.assert_close(value[i], expected[0], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(slope[i], expected[1], rtol=1e-8, atol=1e-8)
        scale = max(1.0, float(expected[2].abs().max()))
        torch.testing.assert_close(
            mixed[i, : tree.size] / scale, expected[2] / scale, rtol=1e-7, atol=1e-7
        )
        assert not mixed[i, tree.size :].any()


def test_blocks_do_not_show_in_the_numbers():
    trees = [parse(text) for text in ("square(y - p)", "tanh(y*p)", "log(p)", "max(y, p)")]
    program = Program(trees, dtype=torch.float64)
    y, p, tangent = (draw(i, 5000, 10) for i in range(3))
    whole = program.mixed(y, p, tangent)
    halves = [
        program.mixed(y[rows], p[rows], tangent[rows])
        for rows in (slice(0, 2300), slice(2300, None))
    ]
    torch.testing.assert_close(whole[1], torch.cat([half[1] for half in halves], 1))
    torch.testing.assert_close(whole[2], halves[0][2] + halves[1][2])


def test_misuse_is_refused():
    with pytest.raises(ConfigurationError, match="at least one"):
        Program([])
    with pytest.raises(ConfigurationError, match="float32 or float64"):
        Program([parse("y")], dtype=torch.float16)
    program = Program([parse("y*p")])
    with pytest.raises(ConfigurationError):
        program.value(torch.zeros(3, 2), torch.zeros(2, 3))
    with pytest.raises(ConfigurationError):
        program.value(torch.zeros(3, 2), torch.zeros(3, 2), torch.ones(2, 3))
