"""Passes that are run again: the product with J, and the checks of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lossforge.errors import ConfigurationError
from lossforge.training.hypergradient.passes import (
    NotRepeatableError,
    RecordedPass,
    direction_weights,
    first_that_holds,
    is_hooked,
    product,
    require_equal,
    require_total,
    verify,
)
from lossforge.training.hypergradient.response import OptimizerResponse
from lossforge.training.hypergradient.state import TrainState
from lossforge.training.module import Moment

WAYS = ("forward", "reverse")
each_way = pytest.mark.parametrize("way", WAYS)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.4), nn.Linear(6, 3)
    )


class Step:
    """A pass of training and its backward pass, after which the weights moved."""

    def __init__(self, model: nn.Module, inputs: Tensor, share: float = 1.0) -> None:
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        self.state = TrainState(model, optimizer, OptimizerResponse(optimizer))
        moment = Moment(self.state.module)
        outputs = model(inputs)
        slope = torch.randn_like(outputs)
        self.outputs = outputs.detach()
        (outputs * slope * share).sum().backward()
        self.one = RecordedPass(
            lambda: self.state.rerun(inputs), moment, self.outputs, slope.detach()
        )
        self.one.add_share(torch.tensor(share, dtype=outputs.dtype))
        self.raw = [None if g is None else g.clone() for g in self.state.gradients()]
        self.before = [theta.detach().clone() for theta in self.state.parameters]
        optimizer.step()


@pytest.fixture
def step() -> Step:
    torch.manual_seed(0)
    return Step(network().double(), torch.randn(8, 4).double(), share=0.25)


def difference(step: Step, direction: list[Tensor]) -> Tensor:
    """J w by central differences of the pass as it was."""
    ends = []
    for sign in (1e-6, -1e-6):
        with torch.no_grad():
            for theta, before, w in zip(step.state.parameters, step.before, direction, strict=True):
                theta.copy_(before + sign * w)
            with step.one.moment.repeated():
                ends.append(step.one.rerun())
    return (ends[0] - ends[1]) / 2e-6


@each_way
def test_the_product_is_that_of_the_pass_as_it_was(way, step):
    """Though weights, statistics and random numbers have moved on."""
    direction = [torch.randn_like(theta) for theta in step.before]
    moved = [theta.detach().clone() for theta in step.state.parameters]
    statistics = {name: b.clone() for name, b in step.state.module.named_buffers()}
    torch.rand(3)
    following = torch.get_rng_state()
    tangent, found = product(way, step.state, step.one, step.before, direction)
    assert torch.equal(torch.get_rng_state(), following)
    assert all(torch.equal(a, b) for a, b in zip(moved, step.state.parameters, strict=True))
    for name, buffer in step.state.module.named_buffers():
        assert torch.equal(buffer, statistics[name])
    assert (found is None) == (way == "forward")
    for ours, theirs in zip(found or (), step.raw, strict=found is not None):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(tangent, difference(step, direction), rtol=1e-6, atol=1e-8)


@each_way
def test_the_gradient_of_the_step_passes_the_check_and_any_other_does_not(way, step):
    verify(way, step.state, [step.one], step.before, step.raw)
    for position in (0, len(step.raw) - 1):
        wrong = list(step.raw)
        wrong[position] = wrong[position] * 1.01
        with pytest.raises(NotRepeatableError, match="not that of plain training"):
            verify(way, step.state, [step.one], step.before, wrong)


@each_way
def test_a_pass_that_draws_from_elsewhere_cannot_be_repeated(way):
    class Jitter(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + float(np.random.rand())  # as users' modules do

    step = Step(nn.Sequential(nn.Linear(4, 3), Jitter()), torch.randn(5, 4))
    with pytest.raises(NotRepeatableError, match="outputs differ"):
        product(way, step.state, step.one, step.before, step.raw)


def test_bits_of_rounding_are_no_difference(step):
    step.one.require_same(step.outputs * (1 + 1e-9))
    with pytest.raises(NotRepeatableError):
        step.one.require_same(step.outputs * (1 + 1e-4))
    replace(step.one, is_coarse=True).require_same(step.outputs * (1 + 1e-2))
    with pytest.raises(NotRepeatableError):
        step.one.require_same(step.outputs[:, :2])


def test_the_first_way_that_holds_is_taken():
    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    class Doubling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Reverse.apply(x)

    step = Step(nn.Sequential(nn.Linear(4, 3), Doubling()), torch.randn(5, 4))
    arguments = step.state, [step.one], step.before, step.raw
    assert first_that_holds(WAYS, *arguments) == "reverse"
    with pytest.raises(ConfigurationError, match=r"no way of differentiating .* forward \("):
        first_that_holds(["forward"], *arguments)


def test_a_wrong_backward_pass_is_found_out_and_named():
    class Biased(torch.autograd.Function):
        """Its gradient is right at first order and has no derivative of its own."""

        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return torch.from_numpy(2 * g.detach().numpy())

    class Biasing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Biased.apply(x)

    step = Step(nn.Sequential(nn.Linear(4, 3), Biasing()), torch.randn(5, 4))
    with pytest.raises(ConfigurationError, match="likely because of Biased"):
        first_that_holds(WAYS, step.state, [step.one], step.before, step.raw)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=9), st.integers(0, 99))
def test_every_parameter_that_matters_has_a_share_of_the_check(sizes, seed):
    """<g, w> over all parameters is the sum told, and each has at least a half."""
    generator = torch.Generator().manual_seed(seed)
    gradient = [10**size * torch.randn(4, 2, generator=generator) for size in sizes]
    gradient += [None, torch.zeros(3)]
    weights, total = direction_weights(gradient)
    shares = [
        0.0 if g is None else float(g.double().square().sum()) * weight
        for g, weight in zip(gradient, weights, strict=True)
    ]
    assert sum(shares) == pytest.approx(total)
    assert weights[-2:] == [0.0, 0.0]
    largest = max(float(g.square().mean().sqrt()) for g in gradient[:-2])
    for g, share in zip(gradient[:-2], shares, strict=False):
        if float(g.square().mean().sqrt()) > 2e-4 * largest:
            assert 0.499 < share < 1.501


def test_the_total_is_compared_within_rounding(step):
    cotangent, tangent = torch.ones(2, 3), torch.ones(2, 3)
    require_total(cotangent, tangent, 6 + 1e-9, step.state)
    with pytest.raises(NotRepeatableError):
        require_total(cotangent, tangent, 6.01, step.state)


def test_gradients_are_equal_but_for_rounding(step):
    count = len(step.raw)
    sparse = torch.eye(3).double().to_sparse()
    require_equal([sparse, None], [sparse.to_dense(), torch.zeros(2).double()], step.state)
    require_equal([g * (1 + 1e-9) for g in step.raw], step.raw, step.state)
    for wrong in ([g * 1.01 for g in step.raw], [None] * count):
        with pytest.raises(NotRepeatableError):
            require_equal(wrong, step.raw, step.state)


@pytest.mark.parametrize(
    "hook",
    [
        lambda m: m.register_full_backward_hook(lambda *_: None),
        lambda m: m.register_full_backward_pre_hook(lambda *_: None),
        lambda m: m.weight.register_hook(lambda g: g),
        lambda m: m.weight.register_post_accumulate_grad_hook(lambda _: None),
    ],
)
def test_hooks_are_seen(hook):
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert not is_hooked(module)
    handle = hook(module[0])
    assert is_hooked(module)
    handle.remove()
    assert not is_hooked(module)


def test_the_cotangent_is_the_slope_times_the_shares(step):
    slope = step.one.slope
    one = replace(step.one, share=torch.zeros(()))
    for share in (0.25, 0.5):
        one.add_share(torch.tensor(share))
    torch.testing.assert_close(one.cotangent, 0.75 * slope)


@each_way
def test_short_directions_survive_half_precision(way):
    """float16 rounds what lies between the layers to multiples of 2^-24, the direction's length."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5, bias=False), nn.Linear(5, 3, bias=False)).half()
    model[1].weight.data.mul_(16)
    inputs = torch.randn(6, 4).half()
    step = Step(model, inputs)
    signs = torch.randn(5, 4).sign()
    direction = [(signs * 2.0**-24).half(), None]
    found, _ = product(way, step.state, step.one, step.before, direction)
    expected = inputs.double() @ signs.T.double() @ step.before[1].T.double() * 2.0**-24
    error = (found.double() - expected).abs().max() / expected.abs().max()
    assert error < 0.02
