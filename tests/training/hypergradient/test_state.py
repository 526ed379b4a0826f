"""A plain step is PyTorch's, and a loss attached to outputs has the gradient of the loss."""

import copy
from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn

from lossforge.errors import DivergedError
from lossforge.losses import CrossEntropy, Squared
from lossforge.training.hypergradient.clipping import (
    ClippingByNorm,
    ClippingByValue,
    NoClipping,
)
from lossforge.training.hypergradient.response import OptimizerResponse
from lossforge.training.hypergradient.state import (
    AttachedLoss,
    TrainState,
    clean_gradients,
    plain_step,
    slope_of,
)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.Tanh(),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(48, 3),
    )


def begin() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = network().double()
    return model, torch.optim.SGD(model.parameters(), 0.2, momentum=0.9, nesterov=True)


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(6, 1, 4, 4, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(3, (6,), generator=generator)


def state_of(model: nn.Module, optimizer: torch.optim.Optimizer, **options: object) -> TrainState:
    return TrainState(model, optimizer, OptimizerResponse(optimizer), **options)


def clip(model: nn.Module, options: dict[str, float]) -> None:
    if "clip_norm" in options:
        nn.utils.clip_grad_norm_(model.parameters(), options["clip_norm"])
    if "clip_value" in options:
        nn.utils.clip_grad_value_(model.parameters(), options["clip_value"])


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.05}, {"clip_value": 0.01}], ids=str)
@pytest.mark.parametrize("count", [1, 3])
def test_a_plain_step_is_one_of_pytorch(count, options):
    (ours, our_rule), (theirs, their_rule) = begin(), begin()
    for step in range(2):
        batches = [batch(10 * step + index) for index in range(count)]
        torch.manual_seed(step)
        value = plain_step(state_of(ours, our_rule, **options), CrossEntropy(), batches)
        torch.manual_seed(step)
        their_rule.zero_grad()
        losses = [nn.functional.cross_entropy(theirs(x), y) for x, y in batches]
        mean = sum(losses) / count
        mean.backward()
        clip(theirs, options)
        their_rule.step()
        assert value == pytest.approx(mean.item(), rel=1e-12)
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert all(theta.grad is None for theta in ours.parameters())


def test_a_step_that_diverged_changes_no_weight():
    model, rule = begin()
    before = copy.deepcopy(dict(model.named_parameters()))
    inputs, targets = batch(0)
    inputs[0, 0, 0, 0] = torch.nan
    with pytest.raises(DivergedError, match=r"the loss is nan: .* the network was not updated"):
        plain_step(state_of(model, rule), CrossEntropy(), [batch(1), (inputs, targets)])
    assert all(torch.equal(before[name], theta) for name, theta in model.named_parameters())
    assert all(theta.grad is None for theta in model.parameters())


def test_a_scaled_loss_takes_the_same_step():
    (ours, our_rule), (theirs, their_rule) = begin(), begin()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for (model, rule), options in (
        ((ours, our_rule), {"scaler": scaler, "clip_norm": 0.05}),
        ((theirs, their_rule), {"clip_norm": 0.05}),
    ):
        torch.manual_seed(0)
        plain_step(state_of(model, rule, **options), CrossEntropy(), [batch(0)])
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_autocast_covers_the_model_alone():
    model, rule = begin()
    state = state_of(model.float(), rule, precision=torch.bfloat16)
    inputs = batch(0)[0].float()
    assert state.run(inputs).dtype == torch.bfloat16
    assert state.rerun(inputs).dtype == torch.bfloat16
    assert model(inputs).dtype == torch.float32


def test_wrappers_are_seen_through():
    model, rule = begin()
    assert state_of(nn.DataParallel(nn.DataParallel(model)), rule).module is model
    assert not state_of(model, rule).is_shared


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, NoClipping),
        ({"clip_norm": 0.1}, ClippingByNorm),
        ({"clip_value": 0.1}, ClippingByValue),
    ],
)
def test_the_clipping_is_that_of_the_settings(options, kind):
    state = state_of(*begin(), **options)
    gradients = [torch.ones_like(theta) for theta in state.parameters]
    assert type(state.clipping(gradients)) is kind
    assert state.clips == (kind is not NoClipping)


def test_one_process_has_its_own_mean():
    tensor = torch.tensor([2.0])
    state_of(*begin()).average([tensor])
    assert tensor.tolist() == [2.0]


@pytest.mark.parametrize("build", [False, True])
def test_a_slope_is_the_derivative_by_the_outputs(build):
    loss = Squared().double()
    outputs, targets = torch.randn(5, 1).double(), torch.randn(5, 1).double()
    loss.requires_grad_(build)
    value, slope = slope_of(loss, outputs, targets, build=build)
    assert float(value) == pytest.approx(float(loss(outputs, targets).detach()))
    torch.testing.assert_close(slope.detach(), 2 * (outputs - targets) / 5)
    assert slope.requires_grad == build


def test_an_attached_loss_has_the_gradient_of_the_loss_and_reports_its_share():
    shares: list[Tensor] = []
    outputs = torch.randn(5, 2, requires_grad=True)
    slope = torch.randn(5, 2)
    value = AttachedLoss.apply(outputs, torch.tensor(0.7), slope, shares.append)
    assert value.item() == pytest.approx(0.7)
    (value * 3 / 4).backward()
    torch.testing.assert_close(outputs.grad, slope * 3 / 4)
    assert [share.item() for share in shares] == [0.75]


def test_gradients_are_cleared_even_after_an_error():
    state = state_of(*begin())
    for theta in state.parameters:
        theta.grad = torch.ones_like(theta)
    with suppress(ValueError), clean_gradients(state):
        assert state.gradients() == [None] * len(state.parameters)
        state.set_gradients([torch.ones_like(theta) for theta in state.parameters])
        raise ValueError
    assert state.gradients() == [None] * len(state.parameters)
