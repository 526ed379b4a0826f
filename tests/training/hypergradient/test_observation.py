"""A step of somebody else's loop, observed: what it tells is what the engine's own step tells."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lossforge.errors import DivergedError
from lossforge.losses import CrossEntropy, NeuralLoss
from lossforge.losses.neural import Architecture
from lossforge.training.hypergradient import (
    Observation,
    OnlineEngine,
    OptimizerResponse,
    TrainState,
)
from lossforge.training.hypergradient.observation import validation_gradient

SMOOTH = Architecture((5,), "softplus", "smooth_leaky_relu")


class Case:
    """A network with dropout and batch norm, a loss network, and batches."""

    def __init__(self, clip: float | None = None, scaler: torch.amp.GradScaler | None = None):
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 3)
        ).double()
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.2, momentum=0.9)
        self.clip = clip
        response = OptimizerResponse(self.optimizer)
        state = TrainState(self.model, self.optimizer, response, clip_norm=clip, scaler=scaler)
        self.engine = OnlineEngine(state, ("reverse",))
        self.loss = NeuralLoss(SMOOTH).double().requires_grad_()
        self.batches = [self.batch() for _ in range(2)]
        self.valid = self.batch()

    def batch(self) -> tuple[Tensor, Tensor]:
        return torch.randn(6, 4, dtype=torch.float64), torch.randint(3, (6,))

    def outcome(self, outputs: Tensor) -> Tensor:
        return CrossEntropy()(outputs, self.valid[1])

    def observe(self, extra: Callable[[], Tensor] | None = None) -> tuple[float, list[Tensor]]:
        """Return T and the hypergradient of a step in a loop of its own."""
        observation = Observation(self.engine)
        self.optimizer.zero_grad()
        for inputs, targets in self.batches:
            moment = observation.moment()
            outputs = self.model(inputs)
            value = observation.record(
                self.loss, outputs, targets, moment, lambda x=inputs: self.model(x)
            )
            (value / len(self.batches)).backward()
        others = [torch.zeros_like(theta) for theta in self.model.parameters()]
        if extra is not None:
            others = list(torch.autograd.grad(extra(), list(self.model.parameters())))
            for theta, other in zip(self.model.parameters(), others, strict=True):
                theta.grad += other
        observation.gradients_ready()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        observation.before_step()
        if extra is not None:
            observation.leave_out(others)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return observation.differentiate(self.loss, lambda: self.model(self.valid[0]), self.outcome)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_a_loop_of_one_s_own_learns_what_a_step_of_the_engine_does(clip):
    ours, theirs = Case(clip), Case(clip)
    torch.manual_seed(5)
    task_loss, found = ours.observe()
    torch.manual_seed(5)
    step = theirs.engine.step(theirs.loss, theirs.batches, theirs.valid, CrossEntropy())
    assert task_loss == pytest.approx(step.task_loss, rel=1e-12)
    for one, other in zip(found, step.hypergradient, strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(
        ours.model.state_dict().values(), theirs.model.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_terms_beside_the_loss_are_trained_with_and_left_out_of_the_check():
    case = Case()
    first = copy.deepcopy(case.model[0].weight)

    def penalty() -> Tensor:
        return sum(theta.square().sum() for theta in case.model.parameters())

    _, found = case.observe(penalty)
    assert all(slope.isfinite().all() for slope in found)
    assert any(slope.any() for slope in found)
    assert not torch.equal(case.model[0].weight, first)


def test_a_loss_that_diverged_is_told_before_the_step():
    case = Case()
    case.batches[0][0][0, 0] = torch.nan
    with pytest.raises(DivergedError, match="the network was not updated"):
        case.observe()


def test_an_overflow_of_scaled_gradients_skips_the_step():
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    case = Case(scaler=scaler)
    observation = Observation(case.engine)
    for theta in case.model.parameters():
        theta.grad = torch.zeros_like(theta)
    observation.gradients_ready()
    observation.before_step()
    assert not observation.is_skipped
    case.model[0].weight.grad[0, 0] = torch.inf
    observation.gradients_ready()
    observation.before_step()
    assert observation.is_skipped


def test_a_validation_gradient_is_plain_and_leaves_nothing_behind():
    """Hooks that change training gradients do not change it; buffers and draws are as before."""
    case = Case()
    torch.manual_seed(7)
    reference = copy.deepcopy(case.model)
    value = case.outcome(reference(case.valid[0]))
    expected = torch.autograd.grad(value, list(reference.parameters()))
    torch.manual_seed(7)
    case.model[0].weight.register_hook(lambda g: 100 * g)
    case.model[4].register_full_backward_hook(lambda _, inputs, __: (inputs[0] * 100,))
    before, draws = copy.deepcopy(case.model.state_dict()), torch.get_rng_state()
    number, found = validation_gradient(
        case.engine, lambda: case.model(case.valid[0]), case.outcome
    )
    assert number == pytest.approx(value.item())
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert torch.equal(torch.get_rng_state(), draws)
    for name, kept in case.model.state_dict().items():
        assert torch.equal(kept, before[name])
    assert all(theta.grad is None for theta in case.model.parameters())
