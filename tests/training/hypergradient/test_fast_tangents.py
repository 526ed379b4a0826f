"""Tangents by our rules: those of PyTorch where it has them, the gradient's transpose elsewhere."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from lossforge.training.hypergradient.fast_tangents import FastTangents

LONG = torch.tensor([[0, 1, 1, 4], [2, 2, 2, 0]])


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def tangent_of(function, inputs, tangents, *, fast: bool) -> tuple[Tensor, Tensor]:
    with torch.no_grad(), forward_ad.dual_level():
        duals = [
            x if t is None else forward_ad.make_dual(x, t)
            for x, t in zip(inputs, tangents, strict=True)
        ]
        if fast:
            with FastTangents():
                result = function(*duals)
        else:
            result = function(*duals)
        outputs, tangent = forward_ad.unpack_dual(result)
    assert tangent is not None
    return outputs, tangent


CONVOLUTIONS = {"1d": (F.conv1d, (9,)), "2d": (F.conv2d, (6, 5)), "3d": (F.conv3d, (4, 5, 3))}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("moves", ["weight", "input", "both"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name, moves, bias):
    torch.manual_seed(0)
    convolve, size = CONVOLUTIONS[name]
    inputs = [draw(2, 4, *size), draw(6, 2, *[3] * len(size)), draw(6)]
    tangents = [
        draw(*inputs[0].shape) if moves != "weight" else None,
        draw(*inputs[1].shape) if moves != "input" else None,
        draw(6) if moves != "input" else None,
    ]

    def function(x: Tensor, weight: Tensor, shift: Tensor) -> Tensor:
        return convolve(x, weight, shift if bias else None, stride=2, padding=1, groups=2)

    fast = tangent_of(function, inputs, tangents, fast=True)
    torch.testing.assert_close(fast, tangent_of(function, inputs, tangents, fast=False))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("moves", ["weights", "input", "all"])
def test_batch_normalization(moves, layout, affine, training):
    torch.manual_seed(0)
    x = draw(4, 3, 5, 2).contiguous(memory_format=layout)
    inputs = [x, draw(3), draw(3)]
    tangents = [
        torch.randn_like(x) if moves != "weights" or not affine else None,
        draw(3) if moves != "input" and affine else None,
        draw(3) if moves != "input" and affine else None,
    ]
    statistics = torch.zeros(3).double(), torch.full((3,), 2.0).double()

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        own = (weight, bias) if affine else (None, None)
        return F.batch_norm(x, *(s.clone() for s in statistics), *own, training=training)

    fast = tangent_of(function, inputs, tangents, fast=True)
    torch.testing.assert_close(fast, tangent_of(function, inputs, tangents, fast=False))


def test_running_statistics_are_left_alone():
    module = nn.BatchNorm1d(3).double()
    x, tangents = draw(6, 3), [draw(3), draw(3)]

    def function(weight: Tensor, bias: Tensor) -> Tensor:
        return F.batch_norm(x, module.running_mean, module.running_var, weight, bias, training=True)

    tangent_of(function, [torch.ones(3).double(), torch.zeros(3).double()], tangents, fast=True)
    assert not module.running_mean.any()
    assert torch.equal(module.running_var, torch.ones(3).double())


EMBEDDINGS = {
    "plain": lambda w: F.embedding(LONG, w),
    "padding": lambda w: F.embedding(LONG, w, padding_idx=-3),
    "frequency": lambda w: F.embedding(LONG, w, scale_grad_by_freq=True),
    "both": lambda w: F.embedding(LONG, w, padding_idx=0, scale_grad_by_freq=True),
    "bag of sums": lambda w: F.embedding_bag(LONG, w, mode="sum"),
    "bag of means": lambda w: F.embedding_bag(LONG, w, mode="mean"),
    "bag with padding": lambda w: F.embedding_bag(LONG, w, mode="sum", padding_idx=2),
}


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embeddings_have_the_tangent_whose_transpose_is_their_gradient(name):
    """<c, J w> is <J^T c, w> for the J^T of PyTorch's backward pass, whatever it leaves out."""
    torch.manual_seed(0)
    function, weight, direction = EMBEDDINGS[name], draw(5, 3), draw(5, 3)
    outputs, tangent = tangent_of(function, [weight], [direction], fast=True)
    leaf = weight.clone().requires_grad_()
    reference = function(leaf)
    torch.testing.assert_close(outputs, reference.detach())
    cotangent = torch.randn_like(outputs)
    (gradient,) = torch.autograd.grad(reference, leaf, cotangent)
    assert float((cotangent * tangent).sum()) == pytest.approx(float((gradient * direction).sum()))


@pytest.mark.parametrize("p", [1.5, 2.0, 3.0])
def test_distances_against_central_differences(p):
    torch.manual_seed(0)
    a, b, a_dot, b_dot = draw(2, 4, 3), draw(2, 5, 3), draw(2, 4, 3), draw(2, 5, 3)
    outputs, tangent = tangent_of(
        lambda x, y: torch.cdist(x, y, p), [a, b], [a_dot, b_dot], fast=True
    )
    epsilon = 1e-6
    up, down = (
        torch.cdist(a + s * a_dot, b + s * b_dot, p, "donot_use_mm_for_euclid_dist")
        for s in (epsilon, -epsilon)
    )
    torch.testing.assert_close(outputs, torch.cdist(a, b, p))
    torch.testing.assert_close(tangent, (up - down) / (2 * epsilon), rtol=1e-6, atol=1e-8)


def test_other_functions_are_passed_on():
    x, direction = draw(4), draw(4)
    _, tangent = tangent_of(torch.sin, [x], [direction], fast=True)
    torch.testing.assert_close(tangent, x.cos() * direction)
