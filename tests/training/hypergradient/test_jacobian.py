"""Products with a Jacobian against `torch.func`."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lossforge.training.hypergradient.jacobian import (
    ReverseProducts,
    forward_product,
    gradients,
    suspects,
    transpose_again,
)

seeds = st.integers(0, 10**6)


def draw(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def network(theta: list[Tensor]) -> Tensor:
    """Outputs [5, 2] of weights [3, 4], [2, 3] and of a third tensor that is not used."""
    (x,) = draw(0, (5, 4))
    return torch.tanh(x @ theta[0].T) @ theta[1].T


SHAPES = ((3, 4), (2, 3), (7,))


def reversed_at(theta: list[Tensor]) -> ReverseProducts:
    leaves = [t.clone().requires_grad_() for t in theta]
    return ReverseProducts(network(leaves), leaves)


@given(seeds)
def test_both_ways_give_the_product_of_torch_func(seed):
    theta, direction = draw(seed, *SHAPES), draw(seed + 1, *SHAPES)
    (cotangent,) = draw(seed + 2, (5, 2))
    outputs, expected = torch.func.jvp(lambda *t: network(t), tuple(theta), tuple(direction))
    found_outputs, found = forward_product(network, theta, direction)
    torch.testing.assert_close(found_outputs, outputs)
    torch.testing.assert_close(found, expected)
    products = reversed_at(theta)
    products.transposed(cotangent)
    torch.testing.assert_close(products.product(direction), expected)


@given(seeds)
def test_the_transposed_product_is_that_of_torch_func_at_every_call(seed):
    theta = draw(seed, *SHAPES)
    products = reversed_at(theta)
    _, pull_back = torch.func.vjp(lambda *t: network(t), *theta)
    for cotangent in draw(seed + 1, (5, 2), (5, 2)):
        *found, unused = products.transposed(cotangent)
        *expected, zero = pull_back(cotangent)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs)
        assert unused is None
        assert not zero.any()


def test_a_missing_direction_is_zero():
    theta, (first, _, _) = draw(0, *SHAPES), draw(1, *SHAPES)
    zero = [torch.zeros_like(t) for t in theta]
    _, expected = torch.func.jvp(lambda *t: network(t), tuple(theta), (first, *zero[1:]))
    _, found = forward_product(network, theta, [first, None, None])
    torch.testing.assert_close(found, expected)
    products = reversed_at(theta)
    products.transposed(torch.ones(5, 2, dtype=torch.float64))
    torch.testing.assert_close(products.product([first, None, None], retain_graph=True), expected)
    assert not products.product([None, None, None]).any()
    _, nowhere = forward_product(network, theta, [None, None, None])
    assert not nowhere.any()


def test_what_is_done_to_gradients_is_differentiated():
    theta, direction = draw(0, *SHAPES), draw(1, *SHAPES)
    leaves = [t.clone().requires_grad_() for t in theta]
    products = ReverseProducts(network(leaves), leaves, after=lambda _, g: 3 * g)
    cotangent = torch.ones(5, 2, dtype=torch.float64)
    plain = reversed_at(theta)
    for scaled, own in zip(
        products.transposed(cotangent), plain.transposed(cotangent), strict=True
    ):
        assert (scaled is None) == (own is None)
        if own is not None:
            torch.testing.assert_close(scaled, 3 * own)
    torch.testing.assert_close(products.product(direction), 3 * plain.product(direction))


def test_transposing_again_is_the_derivative_by_the_cotangent():
    at = torch.tensor([1.0, 2.0], requires_grad=True)
    functions = [at * at, None, torch.ones(2)]
    found = transpose_again(functions, at, [torch.tensor([1.0, 10.0]), torch.ones(1), None])
    assert found.tolist() == [2.0, 40.0]


def test_gradients_tell_what_a_value_does_not_depend_on():
    a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
    found = gradients((3 * a).sum(), [a, b])
    assert found[0].tolist() == [3.0, 3.0]
    assert found[1] is None


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (nn.Embedding(3, 2), ()),
        (
            nn.Embedding(3, 2, scale_grad_by_freq=True),
            ("embedding_dense_backward (scale_grad_by_freq)",),
        ),
    ],
)
def test_what_breaks_derivatives_is_named(module, names):
    outputs = module(torch.tensor([0, 2]))
    assert suspects(outputs, module) == names
    assert suspects(Rounded.apply(outputs * 2).exp(), module) == ("Rounded", *names)
