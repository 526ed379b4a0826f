"""The shelf of optimizers is sound: central differences of the real steps hold still."""

import pytest
import torch

from training.optimizer_shelf import (
    ELEMENTWISE,
    UNSUPPORTED,
    OptimizerCase,
    random_tensors,
    real_step,
    step_derivative,
    warmed_up,
)

each = pytest.mark.parametrize("name", ELEMENTWISE)


@each
@pytest.mark.parametrize("seed", [20, 21])
def test_two_epsilons_agree(name: str, seed: int):
    gradients, directions = random_tensors(seed), random_tensors(seed + 100)
    coarse = step_derivative(ELEMENTWISE[name], gradients, directions, 1e-5)
    fine = step_derivative(ELEMENTWISE[name], gradients, directions, 5e-6)
    coarse, fine = (torch.cat([part.flatten() for part in one]) for one in (coarse, fine))
    assert (coarse - fine).norm() <= 1e-7 * fine.norm()
    assert fine.any() != ("rate-zero" in name)


@each
def test_each_entry_of_the_step_depends_on_its_own_gradient_alone(name: str):
    optimizer_case = ELEMENTWISE[name]
    gradients = random_tensors(20)
    before = real_step(optimizer_case, gradients)
    gradients[0][1, 0] += 0.5
    changed = [a != b for a, b in zip(real_step(optimizer_case, gradients), before, strict=True)]
    expected = [torch.zeros_like(entries) for entries in changed]
    expected[0][1, 0] = "rate-zero" not in name
    assert all(torch.equal(a, b) for a, b in zip(changed, expected, strict=True))


@each
def test_steps_repeat(name: str):
    once, again = (real_step(ELEMENTWISE[name], random_tensors(20)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


def test_every_optimizer_of_pytorch_is_on_the_shelf():
    names = {type(warmed_up(one)[1]).__name__ for one in ELEMENTWISE.values()} | set(UNSUPPORTED)
    kinds = vars(torch.optim).items()
    known = {name for name, kind in kinds if isinstance(kind, type) and kind.__module__ != "typing"}
    assert known - {"Optimizer"} <= names


def test_amsgrad_and_adamax_are_met_on_both_sides_of_their_maximum():
    for name, key in (("adam-amsgrad", "max_exp_avg_sq"), ("adamax", "exp_inf")):
        parameters, optimizer = warmed_up(ELEMENTWISE[name])
        before = [optimizer.state[p][key].clone() for p in parameters]
        for p, g in zip(parameters, random_tensors(20), strict=True):
            p.grad = g
        optimizer.step()
        grew = [optimizer.state[p][key] > b for p, b in zip(parameters, before, strict=True)]
        entries = torch.cat([entry.flatten() for entry in grew])
        assert entries.any()
        assert not entries.all()


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_optimizers_can_be_built(name: str):
    parameters = [tensor.requires_grad_() for tensor in random_tensors(0)]
    assert type(UNSUPPORTED[name](parameters)).__name__ == name


def test_warm_steps_cannot_be_negative():
    with pytest.raises(ValueError, match="warm_steps must be at least 0"):
        OptimizerCase(torch.optim.SGD, warm_steps=-1)
