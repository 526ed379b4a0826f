"""The norm of few-shot networks: PyTorch's numbers, and exact first and second derivatives."""

import pytest
import torch
from torch import nn

from lossforge.methods.npbml.norm import PooledNorm, TaskNorm, _Moments, _Norm


def test_values_and_gradients_are_pytorch_s():
    torch.manual_seed(0)
    ours, usual = TaskNorm(3), nn.BatchNorm2d(3, track_running_stats=False)
    for norm in (ours, usual):
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([0.5, -2.0, 1.5]))
            norm.bias.copy_(torch.tensor([1.0, 0.0, -1.0]))
    x, cotangent = torch.randn(2, 4, 3, 5, 6)
    found, expected = [], []
    for norm, kept in ((ours, found), (usual, expected)):
        leaf = x.clone().requires_grad_()
        (norm(leaf) * cotangent).sum().backward()
        kept += [norm(x), leaf.grad, norm.weight.grad, norm.bias.grad]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [2, 7])
def test_first_and_second_derivatives_are_exact(rows):
    torch.manual_seed(1)
    x, w, b = (
        torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in ((rows, 3), 3, 3)
    )
    assert torch.autograd.gradcheck(_Norm.apply, (x, w, b))
    assert torch.autograd.gradgradcheck(_Norm.apply, (x, w, b))


def test_layouts_give_the_same():
    x = torch.randn(4, 3, 5, 6)
    norm = TaskNorm(3)
    torch.testing.assert_close(norm(x.contiguous(memory_format=torch.channels_last)), norm(x))


SIGNS = ([0.5, 2.0, 1.5], [0.5, -2.0, -0.1])


@pytest.mark.parametrize("size", [4, 7])
@pytest.mark.parametrize("weights", SIGNS)
def test_norm_relu_and_pooling_in_one_are_what_they_are_one_by_one(size, weights):
    torch.manual_seed(0)
    parts = nn.Sequential(
        nn.BatchNorm2d(3, track_running_stats=False), nn.ReLU(), nn.MaxPool2d(2)
    ).double()
    one = PooledNorm(3).double()
    for norm in (one, parts[0]):
        with torch.no_grad():
            norm.weight.copy_(torch.tensor(weights))
            norm.bias.copy_(torch.tensor([0.3, 0.0, -0.1]))
    x = torch.randn(5, 3, size, size, dtype=torch.double)
    inner, outer = torch.randn(2, 5, 3, size // 2, size // 2, dtype=torch.double)
    found = []
    for network, norm in ((one, one), (parts, parts[0])):
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad((network(leaf) * inner).sum(), leaf, create_graph=True)
        learned = [leaf, norm.weight, norm.bias]
        again = torch.autograd.grad(
            (slope.square() * x).sum() + (network(leaf) * outer).sum(), learned
        )
        found.append([network(leaf), slope, *again])
    for ours, usual in zip(*found, strict=True):
        torch.testing.assert_close(ours, usual)


def test_derivatives_of_moments_are_exact():
    x = torch.randn(3, 2, 3, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(_Moments.apply, (x,))
    assert torch.autograd.gradgradcheck(_Moments.apply, (x,))
