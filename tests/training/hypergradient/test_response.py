"""The response of every elementwise optimizer against central differences of its real steps."""

import pytest
import torch
from torch import Tensor

from lossforge.errors import ConfigurationError
from lossforge.training.hypergradient import OptimizerResponse
from training.optimizer_shelf import (
    ELEMENTWISE,
    UNSUPPORTED,
    OptimizerCase,
    random_tensors,
    set_gradients,
    step_derivative,
    warmed_up,
)


def slopes_of(case: OptimizerCase, gradients: list[Tensor]) -> list[Tensor]:
    parameters, optimizer = warmed_up(case)
    for theta in parameters:
        theta.requires_grad_()
    set_gradients(parameters, gradients)
    found = OptimizerResponse(optimizer).slopes(gradients)
    return [torch.as_tensor(s).expand_as(g).double() for s, g in zip(found, gradients, strict=True)]


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("seed", [5, 6])
def test_it_is_the_derivative_of_the_real_step(name, seed):
    gradients, directions = random_tensors(seed), random_tensors(seed + 10)
    moved = step_derivative(ELEMENTWISE[name], gradients, directions)
    slopes = slopes_of(ELEMENTWISE[name], gradients)
    for slope, direction, theirs in zip(slopes, directions, moved, strict=True):
        expected = theirs.abs().max()
        assert float((slope * direction + theirs).abs().max()) <= 1e-6 * float(expected)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_cannot_be_followed_is_refused(name):
    parameters = [theta.requires_grad_() for theta in random_tensors(0)]
    with pytest.raises(ConfigurationError, match=f"cannot follow {name}; use one of"):
        OptimizerResponse(UNSUPPORTED[name](parameters))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_rate_of_zero_is_a_step_of_zero(name):
    """A schedule that warms up from 0, or ends there."""
    parameters, optimizer = warmed_up(ELEMENTWISE[name])
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(0.0) if isinstance(group["lr"], Tensor) else 0.0
    gradients = random_tensors(3)
    for theta in parameters:
        theta.requires_grad_()
    for slope in OptimizerResponse(optimizer).slopes(gradients):
        # The averaged method keeps the rate that it goes on with in its state.
        assert not torch.as_tensor(slope).any() or name.startswith("asgd")


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_gradient_of_zero_has_a_finite_response(name):
    parameters, optimizer = warmed_up(ELEMENTWISE[name])
    gradients = [torch.zeros_like(theta) for theta in parameters]
    for theta in parameters:
        theta.requires_grad_()
    for slope in OptimizerResponse(optimizer).slopes(gradients):
        assert torch.as_tensor(slope).isfinite().all()


@pytest.mark.parametrize("rule", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop])
def test_what_the_optimizer_passes_over_has_no_response(rule):
    parameters = [theta.requires_grad_() for theta in random_tensors(0)]
    optimizer = rule(parameters, lr=0.1)
    gradients = [torch.ones_like(theta) for theta in parameters]
    slopes = OptimizerResponse(optimizer).slopes([None, *gradients[1:]])
    assert slopes[0] == 0.0
    assert all(torch.as_tensor(slope).any() for slope in slopes[1:])


def test_a_scheduled_learning_rate_is_seen():
    parameters = [theta.requires_grad_() for theta in random_tensors(0)]
    optimizer = torch.optim.SGD(parameters, 0.1)
    response = OptimizerResponse(optimizer)
    optimizer.param_groups[0]["lr"] = 0.025
    assert response.slopes(random_tensors(1)) == [0.025] * len(parameters)
