"""Clipping as PyTorch clips, and its transposed derivative."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lossforge.training.hypergradient.clipping import (
    Clipping,
    ClippingByNorm,
    ClippingByValue,
    NoClipping,
)

limits = st.floats(0.05, 20)
seeds = st.integers(0, 10**6)
each_kind = pytest.mark.parametrize("kind", [ClippingByNorm, ClippingByValue])


def draw(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((3, 2), (4,))
    ]


def by_pytorch(kind: type[Clipping], gradients: list[Tensor], limit: float) -> list[Tensor]:
    parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for theta, g in zip(parameters, gradients, strict=True):
        theta.grad = g.clone()
    if kind is ClippingByNorm:
        nn.utils.clip_grad_norm_(parameters, limit)
    else:
        nn.utils.clip_grad_value_(parameters, limit)
    return [theta.grad for theta in parameters]


@each_kind
@given(seeds, limits)
def test_gradients_are_those_of_pytorch(kind, seed, limit):
    gradients = draw(seed)
    for ours, theirs in zip(
        kind(gradients, limit).clipped, by_pytorch(kind, gradients, limit), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


@each_kind
@given(seeds, limits)
def test_the_pull_back_is_the_transposed_derivative(kind, seed, limit):
    gradients, direction, along = draw(seed), draw(seed + 1), draw(seed + 2)
    epsilon = 1e-7
    moved = [
        torch.cat(
            [
                c.flatten()
                for c in kind(
                    [g + sign * epsilon * u for g, u in zip(gradients, along, strict=True)], limit
                ).clipped
            ]
        )
        for sign in (1, -1)
    ]
    difference = (moved[0] - moved[1]) / (2 * epsilon)
    expected = (difference * torch.cat([w.flatten() for w in direction])).sum()
    pulled = kind(gradients, limit).pull_back(direction)
    found = sum((p * u).sum() for p, u in zip(pulled, along, strict=True))
    assert float(found) == pytest.approx(float(expected), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    "make",
    [NoClipping, lambda g: ClippingByNorm(g, 0.5), lambda g: ClippingByValue(g, 0.5)],
    ids=["none", "norm", "value"],
)
def test_a_pull_back_needs_nothing_that_was_forgotten(make):
    gradients, direction = [*draw(0), None], [*draw(1), None]
    clipping = make(gradients)
    before = copy.deepcopy(clipping.pull_back(direction))
    clipping.forget()
    after = clipping.pull_back(direction)
    assert before[-1] is None
    assert after[-1] is None
    assert all(torch.equal(a, b) for a, b in zip(before[:-1], after[:-1], strict=True))


def test_what_has_no_gradient_has_no_share():
    (kept, nothing) = ClippingByNorm([torch.ones(2), None], 0.1).pull_back([None, torch.ones(3)])
    assert kept is None
    assert nothing is None
