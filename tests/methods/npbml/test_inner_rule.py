"""Inner steps: those of torch.optim, and their directions at a rate of 1."""

import pytest
import torch

from lossforge.methods.npbml.inner_rule import SGDRule, directions
from lossforge.training.hypergradient.unroll import Point
from lossforge.training.optimizers import SGD

OPTIMIZERS = [
    SGD(0.3),
    SGD(0.3, momentum=0.9, weight_decay=0.1),
    SGD(0.3, momentum=0.9, nesterov=True, weight_decay=0.1),
]


@pytest.fixture
def start(generator) -> list[torch.Tensor]:
    return [torch.randn(shape, generator=generator).double() for shape in ((3, 2), (4,))]


@pytest.mark.parametrize("sgd", OPTIMIZERS, ids=str)
def test_the_rule_of_maml_is_torch_optim_sgd(sgd, start):
    mirror = [theta.clone().requires_grad_() for theta in start]
    reference = torch.optim.SGD(
        mirror,
        sgd.learning_rate,
        momentum=sgd.momentum,
        nesterov=sgd.nesterov,
        weight_decay=sgd.weight_decay,
    )
    point = Point(start, sgd.init(start))
    for index in range(3):
        gradients = [theta.sin() for theta in point.parameters]
        for theta, gradient in zip(mirror, gradients, strict=True):
            theta.grad = gradient.clone()
        reference.step()
        point = SGDRule()(point, gradients, index, sgd)
        for found, expected in zip(point.parameters, mirror, strict=True):
            torch.testing.assert_close(found, expected.detach())


@pytest.mark.parametrize("sgd", OPTIMIZERS, ids=str)
def test_directions_are_the_steps_without_rate_and_decay(sgd, start):
    bare = SGD(sgd.learning_rate, sgd.momentum, sgd.nesterov)
    point = Point(start, sgd.init(start))
    for index in range(3):
        gradients = [theta.cos() for theta in point.parameters]
        found, state = directions(point, gradients, sgd)
        moved = SGDRule()(point, gradients, index, bare)
        for direction, before, after in zip(found, point.parameters, moved.parameters, strict=True):
            torch.testing.assert_close(direction, (before - after) / sgd.learning_rate)
        for one, other in zip(
            Point([], state).tensors(), Point([], moved.state).tensors(), strict=True
        ):
            torch.testing.assert_close(one, other)
        point = moved
