"""Steps differentiated through themselves, whole and run again on the way back."""

import pytest
import torch
from torch import Tensor, nn

from lossforge.training import SGD, Adam, Network, Optimizer
from lossforge.training.hypergradient import Point, Start, pull_back_through
from lossforge.training.hypergradient.unroll import recomputed, unrolled

OPTIMIZERS: dict[str, Optimizer] = {
    "momentum": SGD(0.3, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": Adam(0.05, epsilon=0.01),
}


def start_of(optimizer: Optimizer) -> Start:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 2)).double()
    parameters = list(module.parameters())
    return Start(Network(module), parameters, optimizer, optimizer.init(parameters))


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(6, 3, generator=generator, dtype=torch.float64),
            torch.randn(6, 2, generator=generator, dtype=torch.float64),
        )
        for _ in range(count)
    ]


def learned_loss(phi: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
    error = outputs - targets
    return (phi[0] * error.square() + phi[1] * (phi[2] * error).tanh() ** 2).mean()


def task_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean()


PHI = torch.tensor([0.7, 0.3, 1.2], dtype=torch.float64)


@pytest.mark.parametrize("way", [unrolled, recomputed])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_gradient_agrees_with_central_differences(name, way):
    *train, valid = batches(4)

    def outcome(phi: Tensor) -> tuple[Tensor, Tensor]:
        torch.manual_seed(3)  # the same dropout masks at every run
        return way(start_of_kept, learned_loss, phi, train, valid, task_loss)

    start_of_kept = start_of(OPTIMIZERS[name])
    gradient, _ = outcome(PHI)
    epsilon = 1e-6
    for index in range(3):
        nudge = torch.zeros_like(PHI)
        nudge[index] = epsilon
        up, down = outcome(PHI + nudge)[1], outcome(PHI - nudge)[1]
        expected = float(up - down) / (2 * epsilon)
        assert abs(expected) > 1e-6
        assert float(gradient[index]) == pytest.approx(expected, rel=1e-5)


def test_a_gradient_is_pulled_back_through_any_steps():
    """Against one reverse pass through everything; what steps share is a tensor of its own."""
    optimizer = SGD(0.1, momentum=0.9)
    (shared,) = batches(1)[0][:1]
    shared = shared.requires_grad_()

    def step(point: Point, build: bool) -> Point:
        with torch.set_grad_enabled(build):
            slope = [theta.sin() * shared.mean(0)[: len(theta)] for theta in point.parameters]
            return Point(*optimizer.step(point.parameters, slope, point.state))

    begin = [torch.tensor([0.3, -0.4, 1.1], dtype=torch.float64)]
    first = Point(begin, optimizer.init(begin)).leaf()
    points, whole = [first], first
    for _ in range(3):
        points.append(step(points[-1], False).leaf())
        whole = step(whole, True)
    last = points.pop()
    for ours, theirs in zip(last.tensors(), whole.tensors(), strict=True):
        torch.testing.assert_close(ours, theirs)
    adjoint = [torch.ones_like(tensor) for tensor in last.tensors()]
    expected = torch.autograd.grad(whole.tensors(), [*first.tensors(), shared], adjoint)
    at_first, (of_shared,) = pull_back_through([step] * 3, points, adjoint, [shared])
    for ours, theirs in zip([*at_first, of_shared], expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_leaf_is_the_same_point_without_its_past():
    theta = [torch.ones(2, requires_grad=True)]
    optimizer = Adam(0.1)
    stepped = Point(*optimizer.step(theta, [theta[0] * 2], optimizer.init(theta)))
    leaf = stepped.leaf()
    assert [tensor.is_leaf and tensor.requires_grad for tensor in leaf.tensors()] == [True] * 3
    assert leaf.state.step == 1
    for ours, theirs in zip(leaf.tensors(), stepped.tensors(), strict=True):
        assert torch.equal(ours, theirs)
