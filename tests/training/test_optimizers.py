"""Functional optimizers against torch.optim."""

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.training import SGD, Adam
from lossforge.training.optimizers import Multistep

PAIRS = {
    "sgd": (SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "decay": (SGD(0.1, weight_decay=0.2), lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.2)),
    "momentum": (
        SGD(0.1, momentum=0.9, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
    ),
    "nesterov": (
        SGD(0.1, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    ),
    "adam": (
        Adam(0.1, weight_decay=0.1, betas=(0.8, 0.99)),
        lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.1, betas=(0.8, 0.99)),
    ),
    "adamw": (
        Adam(0.1, weight_decay=0.1, decoupled=True),
        lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1),
    ),
}


def tensors(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 2), (4,), ()]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("name", PAIRS)
def test_twenty_steps_equal_those_of_torch(name):
    ours, make = PAIRS[name]
    theta, state = tensors(0), ours.init(tensors(0))
    theirs = [t.clone().requires_grad_() for t in tensors(0)]
    optimizer = make(theirs)
    for step in range(20):
        for parameter, g in zip(theirs, tensors(step + 1), strict=True):
            parameter.grad = g
        optimizer.step()
        theta, state = ours.step(theta, tensors(step + 1), state)
        for a, b in zip(theta, theirs, strict=True):
            torch.testing.assert_close(a, b.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("warm", [0, 3])
def test_sensitivity_is_the_derivative_of_the_step(name, warm):
    ours, _ = PAIRS[name]
    theta, state = tensors(0), ours.init(tensors(0))
    for step in range(warm):
        theta, state = ours.step(theta, tensors(step + 1), state)
    gradients = [g.requires_grad_() for g in tensors(9)]
    stepped, _ = ours.step(theta, gradients, state)
    slopes = ours.sensitivity(theta, [g.detach() for g in gradients], state)
    for after, g, slope in zip(stepped, gradients, slopes, strict=True):
        (expected,) = torch.autograd.grad(after.sum(), g)
        torch.testing.assert_close(-torch.as_tensor(slope).double().expand(g.shape), expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SGD(0.0),
        lambda: SGD(0.1, momentum=1.5),
        lambda: SGD(0.1, nesterov=True),
        lambda: SGD(0.1, weight_decay=-1.0),
        lambda: Adam(0.1, betas=(1.0, 0.9)),
        lambda: Adam(0.1, epsilon=0.0),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(make):
    with pytest.raises(ConfigurationError):
        make()


def test_multistep_equals_sgd_under_torchs_own_schedule():
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(5, generator=draw, dtype=torch.double)
    gradients = [torch.randn(5, generator=draw, dtype=torch.double) for _ in range(8)]
    sgd = SGD(momentum=0.9, nesterov=True, weight_decay=1e-2)
    rule = Multistep(0.3, sgd, milestones=(2, 5), factor=0.1)
    theta, state = [start], rule.init([start])
    weight = torch.nn.Parameter(start.clone())
    peer = torch.optim.SGD([weight], 0.3, 0.9, nesterov=True, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.MultiStepLR(peer, [2, 5], 0.1)
    for gradient in gradients:
        assert rule.sensitivity(theta, [gradient], state) == [
            pytest.approx(peer.param_groups[0]["lr"] * 1.9)
        ]
        theta, state = rule.step(theta, [gradient], state)
        weight.grad = gradient.clone()
        peer.step()
        schedule.step()
        assert torch.allclose(theta[0], weight, rtol=1e-12)
