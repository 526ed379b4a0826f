"""A shared training pass: the step's gradient and J w are those of separate passes."""

import copy

import pytest
import torch
from torch import Tensor, nn

from lossforge.training.hypergradient.fused import FusedStep
from lossforge.training.hypergradient.passes import NotRepeatableError
from lossforge.training.hypergradient.response import OptimizerResponse
from lossforge.training.hypergradient.state import TrainState

each_way = pytest.mark.parametrize("low_rank", [False, True], ids=["reverse", "low rank"])


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 3, bias=False)
    )


def begin() -> tuple[TrainState, Tensor, Tensor]:
    torch.manual_seed(0)
    model = network().double()
    optimizer = torch.optim.SGD(model.parameters(), 0.2, momentum=0.9)
    state = TrainState(model, optimizer, OptimizerResponse(optimizer))
    return state, torch.randn(6, 4).double(), torch.randn(5, 4).double()


def outcome(outputs: Tensor) -> Tensor:
    return outputs.square().mean()


def descend(state: TrainState, gradient: list[Tensor]) -> None:
    state.set_gradients(gradient)
    state.optimizer.step()
    state.clear_gradients()


def expected_product(
    model: nn.Module, before: list[Tensor], x: Tensor, valid: Tensor, gain: float
) -> tuple[float, Tensor]:
    """T and J w, with v at the stepped weights and J at those before."""
    value = outcome(model(valid))
    v = torch.autograd.grad(value, list(model.parameters()))
    names = [name for name, _ in model.named_parameters()]
    _, tangent = torch.func.jvp(
        lambda *theta: torch.func.functional_call(model, dict(zip(names, theta, strict=True)), x),
        tuple(before),
        tuple(gain * g for g in v),
    )
    return value.item(), tangent


@each_way
@pytest.mark.parametrize("spares", [False, True])
def test_a_shared_pass_gives_gradient_and_product(low_rank, spares):
    state, x, valid = begin()
    spare = frozenset()
    if spares:
        told = FusedStep(state, lambda: state.rerun(x), low_rank=low_rank)
        told.transposed(torch.ones_like(told.outputs))
        spare = told.spare
    before = [theta.detach().clone() for theta in state.parameters]
    cotangent = torch.randn(6, 3).double()
    reference = copy.deepcopy(state.model)
    outputs = reference(x)
    gradient = torch.autograd.grad(outputs, list(reference.parameters()), cotangent)
    fused = FusedStep(state, lambda: state.rerun(x), low_rank=low_rank, spare=spare)
    torch.testing.assert_close(fused.outputs, outputs.detach())
    found = fused.transposed(cotangent)
    for ours, theirs in zip(found, gradient, strict=True):
        torch.testing.assert_close(ours, theirs)
    clipping = state.clipping(found)
    slopes = state.response.slopes(found)
    descend(state, found)
    expected = expected_product(state.model, before, x, valid, 0.2)
    value, tangent = fused.pull_back_step(lambda: state.rerun(valid), outcome, clipping, slopes)
    assert value == pytest.approx(expected[0])
    torch.testing.assert_close(tangent, expected[1])


def test_first_layers_and_biases_need_no_copy():
    state, x, _ = begin()
    fused = FusedStep(state, lambda: state.rerun(x), low_rank=True)
    names = [name for name, _ in state.model.named_parameters()]
    assert sorted(names[at] for at in fused.spare) == ["0.bias", "0.weight", "2.bias"]
    assert FusedStep(state, lambda: state.rerun(x), low_rank=False).spare == frozenset()


@each_way
def test_the_product_of_the_gradient_is_checked(low_rank):
    state, x, _ = begin()
    fused = FusedStep(state, lambda: state.rerun(x), low_rank=low_rank)
    cotangent = torch.randn(6, 3).double()
    found = fused.transposed(cotangent)
    fused.require_product(cotangent, found)
    if not low_rank:  # which takes the direction from its own factors
        wrong = [torch.randn_like(found[0]), *found[1:]]
        with pytest.raises(NotRepeatableError):
            fused.require_product(cotangent, wrong)
    with pytest.raises(NotRepeatableError):
        fused.require_product(1.5 * cotangent, found)


def test_the_signature_tells_passes_apart():
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.small, self.large = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.large(x) if len(x) > 5 else self.small(x)

    model = Branching()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    state = TrainState(model, optimizer, OptimizerResponse(optimizer))
    signatures = []
    for rows in (4, 5, 6):
        x = torch.randn(rows, 4)
        for low_rank in (False, True):
            fused = FusedStep(state, lambda x=x: state.rerun(x), low_rank=low_rank)
            fused.transposed(torch.ones(rows, 3))
            signatures.append(fused.signature)
    assert signatures[:2] == signatures[2:4]
    assert signatures[4] != signatures[0]
    assert signatures[5] != signatures[1]


def test_a_pass_that_writes_to_its_weights_is_refused():
    class Writing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                self.layer.weight.mul_(0.99)
            return self.layer(x)

    model = Writing()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    state = TrainState(model, optimizer, OptimizerResponse(optimizer))
    before = model.layer.weight.detach().clone()
    with pytest.raises(NotRepeatableError, match="writes to the parameters"):
        FusedStep(state, lambda: state.rerun(torch.randn(2, 4)), low_rank=False)
    assert torch.equal(model.layer.weight, before)
