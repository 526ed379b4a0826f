"""A user's module is called, read, given other weights and run again as it was."""

import copy
import random
from collections import namedtuple
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

from lossforge.errors import DataError
from lossforge.training.module import (
    Buffers,
    Moment,
    OutputSpec,
    at_values,
    differentiable,
    replaced,
    without_hooks,
)

LOGITS, OTHER = torch.randn(2, 3), torch.randn(2, 7)
Pair = namedtuple("Pair", ["scores", "loss"])


@dataclass
class Output:
    logits: Tensor
    hidden: Tensor


@pytest.mark.parametrize(
    ("returned", "key"),
    [
        (LOGITS, None),
        ((LOGITS, OTHER), None),
        ([LOGITS], None),
        ({"hidden": OTHER, "logits": LOGITS}, None),
        (Output(LOGITS, OTHER), None),
        (Output(OTHER, LOGITS), "hidden"),
        ({"head": LOGITS, "logits": OTHER}, "head"),
        ((OTHER, LOGITS), 1),
        ((OTHER, LOGITS), -1),
        (Pair(LOGITS, OTHER), "scores"),
    ],
)
def test_outputs_are_found_wherever_they_stand(returned, key):
    assert OutputSpec(key)(returned) is LOGITS


@pytest.mark.parametrize(
    ("returned", "key", "says"),
    [
        ("text", None, "a str"),
        ({"scores": OTHER}, None, "a dict of scores"),
        ({}, None, "a dict of nothing"),
        ((OTHER,), 1, "a tuple of Tensor"),
        (torch.zeros(2, 3, dtype=torch.int64), None, "a tensor of int64"),
        (Output(LOGITS, OTHER), "scores", "a Output"),
    ],
)
def test_what_is_no_output_is_described(returned, key, says):
    with pytest.raises(DataError, match=f"the model returned {says};"):
        OutputSpec(key)(returned)


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.data())
def test_the_dimension_of_the_classes_becomes_the_second(shape, data):
    place = data.draw(st.integers(-len(shape), len(shape) - 1))
    outputs = torch.randn(shape)
    found = OutputSpec(class_dim=place, count=shape[place])(outputs)
    rest = [size for at, size in enumerate(shape) if at != place % len(shape)]
    assert list(found.shape) == [rest[0], shape[place], *rest[1:]]
    assert torch.equal(found.movedim(1, place), outputs)
    with pytest.raises(DataError, match=f"gives {shape[place]} outputs, not 9"):
        OutputSpec(class_dim=place, count=9)(outputs)


@pytest.mark.parametrize(("shape", "place"), [((4,), 0), ((4, 2), 2), ((4, 2), -3)])
def test_a_missing_dimension_is_told(shape, place):
    with pytest.raises(DataError, match="without a dimension"):
        OutputSpec(class_dim=place)(torch.zeros(shape))


def shared() -> nn.Module:
    first = nn.Linear(3, 3)
    second = nn.Linear(3, 3)
    second.weight = first.weight
    return nn.Sequential(first, second)


def test_replaced_weights_are_used_wherever_they_are_registered_and_put_back():
    model, x = shared(), torch.randn(4, 3)
    weight, other = model[0].weight, torch.randn(3, 3)
    with suppress(ValueError), replaced(model, {id(weight): other}):
        expected = (x @ other.T + model[0].bias) @ other.T + model[1].bias
        torch.testing.assert_close(model(x), expected)
        raise ValueError
    assert model[0].weight is weight
    assert model[1].weight is weight


def test_a_scripted_module_is_refused():
    scripted = torch.jit.script(nn.Linear(2, 2))
    replacement = replaced(scripted, {id(scripted.weight): torch.zeros(2, 2)})
    with pytest.raises(NotImplementedError, match="scripted"), replacement:
        pass


def test_parameters_have_other_values_inside_a_block():
    model, x = shared(), torch.randn(4, 3)
    parameters = list(model.parameters())
    before = [theta.detach().clone() for theta in parameters]
    values = [torch.randn_like(theta) for theta in parameters]
    reference = copy.deepcopy(model)
    with torch.no_grad():
        for theta, value in zip(reference.parameters(), values, strict=True):
            theta.copy_(value)
    with at_values(parameters, values):
        torch.testing.assert_close(model(x), reference(x))
    assert all(torch.equal(a, b) for a, b in zip(before, parameters, strict=True))


def test_buffers_come_back_written_or_exchanged():
    module = nn.BatchNorm1d(2)
    kept, mean = Buffers(module), module.running_mean
    values = copy.deepcopy(dict(module.named_buffers()))
    module(torch.randn(5, 2))
    module.running_var = torch.zeros(2)
    assert module.num_batches_tracked == 1
    kept.restore()
    assert module.running_mean is mean
    for name, buffer in module.named_buffers():
        assert torch.equal(buffer, values[name])


class Random(nn.Module):
    """Draws from torch, `random` and NumPy, and counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.passes.add_(1)
        return x + torch.rand(()) + random.random() + np.random.rand() + self.passes


def test_a_moment_is_repeated_any_number_of_times_and_time_goes_on():
    model, x = Random(), torch.zeros(2)
    moment = Moment(model, everywhere=True)
    assert not moment.draws_elsewhere()
    first = model(x)
    assert moment.draws_elsewhere()
    second = model(x)
    for _ in range(2):
        with moment.repeated():
            assert torch.equal(model(x), first)
            assert torch.equal(model(x), second)
    assert model.passes == 2
    moment.undo()
    assert torch.equal(model(x), first)


def test_what_a_kept_moment_does_is_undone():
    model, x = Random(), torch.zeros(2)
    with Moment(model, everywhere=True).kept():
        first = model(x)
    assert model.passes == 0
    assert torch.equal(model(x), first)


def test_only_torch_is_watched_where_that_is_enough():
    moment = Moment(nn.Identity())
    random.random()
    assert not moment.draws_elsewhere()


def attention(x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, x, x)


def test_attention_has_forward_and_second_derivatives():
    torch.manual_seed(0)
    x, direction = (torch.randn(1, 2, 4, 8) for _ in range(2))
    with differentiable(), forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(attention(forward_ad.make_dual(x, direction))).tangent
    with differentiable():
        leaf = x.clone().requires_grad_()
        at = torch.ones_like(x, requires_grad=True)
        (g,) = torch.autograd.grad(attention(leaf), leaf, at, create_graph=True)
        (reverse,) = torch.autograd.grad(g, at, direction)
    torch.testing.assert_close(tangent, reverse, rtol=1e-4, atol=1e-5)


def test_normalized_weights_have_the_derivatives_of_their_definition():
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)).double()
    x = torch.randn(5, 4).double()
    parameters = list(layer.parameters())

    def gradient(values: list[Tensor]) -> Tensor:
        with at_values(parameters, values), torch.enable_grad():
            found = torch.autograd.grad(
                layer(x).tanh().square().sum(), parameters, create_graph=True
            )
            return torch.cat([g.flatten() for g in found])

    values = [theta.detach().clone() for theta in parameters]
    direction = [torch.randn_like(theta) for theta in values]
    with differentiable():
        first = torch.autograd.grad(layer(x).tanh().square().sum(), parameters, create_graph=True)
        along = sum((g * w).sum() for g, w in zip(first, direction, strict=True))
        found = torch.cat([g.flatten() for g in torch.autograd.grad(along, parameters)])
        up, down = (
            gradient([v + sign * w for v, w in zip(values, direction, strict=True)]).detach()
            for sign in (1e-6, -1e-6)
        )
    torch.testing.assert_close(found, (up - down) / 2e-6, rtol=1e-5, atol=1e-7)


def test_reentrant_checkpoints_are_run_straight():
    layer, x = nn.Linear(3, 3), torch.randn(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(checkpoint(layer, x, use_reentrant=True).sum(), layer.weight)
    with differentiable():
        (found,) = torch.autograd.grad(checkpoint(layer, x, use_reentrant=True).sum(), layer.weight)
    torch.testing.assert_close(found, x.detach().sum(0).expand(3, 3))


def test_hooks_are_silent_inside_a_block():
    layer, x = nn.Linear(3, 3), torch.randn(2, 3, requires_grad=True)
    layer.register_full_backward_hook(lambda _, inputs, __: (inputs[0] * 100,))

    def gradient() -> Tensor:
        return torch.autograd.grad(layer(x).sum(), x)[0]

    with without_hooks(layer):
        plain = gradient()
    torch.testing.assert_close(plain, layer.weight.detach().sum(0).expand(2, 3))
    torch.testing.assert_close(gradient(), 100 * plain)
