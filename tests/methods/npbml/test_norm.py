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


def modulated(kind, channels, task_dependent):
    """A norm whose FiLM is away from the identity, scales of both signs included."""
    torch.manual_seed(0)
    norm = kind(channels, film=True).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, -2.0, 1.5, 1.0])[:channels])
        norm.bias.copy_(torch.tensor([0.3, 0.0, -0.1, 0.2])[:channels])
        norm.film.generator.weight.normal_(std=0.5 * task_dependent)
        norm.film.generator.bias.uniform_(-0.5, 0.5)
        norm.film.generator.bias[0] = -1.7  # a channel whose sign FiLM turns
    return norm


def one_by_one(norm, x):
    """FiLM of a norm in PyTorch's own operations: after the norm, before what follows."""
    mean = x.mean((0, 2, 3))
    deviation = (x.var((0, 2, 3), correction=0) + 1e-5).sqrt()
    gamma, beta = norm.film.generator(mean / deviation).chunk(2)
    normal = nn.functional.batch_norm(x, None, None, norm.weight, norm.bias, True, eps=1e-5)
    normal = normal * (1 + gamma[:, None, None]) + beta[:, None, None]
    if isinstance(norm, PooledNorm):
        return nn.functional.max_pool2d(normal.relu(), 2)
    return normal


@pytest.mark.parametrize("kind", [TaskNorm, PooledNorm])
@pytest.mark.parametrize("size", [4, 7])
def test_film_stands_between_norm_and_activation(kind, size):
    norm = modulated(kind, 3, task_dependent=True)
    x = torch.randn(5, 3, size, size, dtype=torch.double) + 0.7
    inner, outer = torch.randn(2, *norm(x).shape, dtype=torch.double)
    found = []
    for network in (norm, lambda rows: one_by_one(norm, rows)):
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad((network(leaf) * inner).sum(), leaf, create_graph=True)
        again = torch.autograd.grad(
            (slope.square() * x).sum() + (network(leaf) * outer).sum(), [leaf, *norm.parameters()]
        )
        found.append([network(leaf), slope, *again])
    for ours, usual in zip(*found, strict=True):
        torch.testing.assert_close(ours, usual)


@pytest.mark.parametrize("kind", [TaskNorm, PooledNorm])
def test_derivatives_through_film_are_exact(kind):
    norm = modulated(kind, 2, task_dependent=True)
    x = torch.randn(3, 2, 4, 4, dtype=torch.double, requires_grad=True)
    weights = [norm.weight, norm.bias, norm.film.generator.weight, norm.film.generator.bias]
    names = ["weight", "bias", "film.generator.weight", "film.generator.bias"]

    def outputs(x, *weights):
        named = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(norm, named, (x,))

    assert torch.autograd.gradcheck(outputs, (x, *weights))
    assert torch.autograd.gradgradcheck(outputs, (x, *weights))


@pytest.mark.parametrize("kind", [TaskNorm, PooledNorm])
def test_stacked_tasks_are_modulated_each_by_itself(kind):
    norm = modulated(kind, 3, task_dependent=True)
    tasks = torch.randn(2, 5, 3, 6, 6, dtype=torch.double)
    tasks[1] += 3
    stacked = torch.vmap(norm)(tasks)
    torch.testing.assert_close(stacked, torch.stack([norm(task) for task in tasks]))


def test_a_fresh_film_is_the_identity():
    x = torch.randn(4, 3, 6, 6)
    for kind in (TaskNorm, PooledNorm):
        torch.testing.assert_close(kind(3, film=True)(x), kind(3)(x), rtol=1e-4, atol=1e-5)
