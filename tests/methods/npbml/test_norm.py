"""The norm of few-shot networks: PyTorch's numbers, and exact first and second derivatives."""

import pytest
import torch
from torch import nn

from lossforge.methods.npbml.norm import TaskNorm, _Norm


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
