"""Populations of losses, symbolic or of any class, give the derivatives of each loss."""

from collections.abc import Sequence

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.losses import (
    Focal,
    Huber,
    Loss,
    ModulePopulation,
    NeuralLoss,
    SymbolicLoss,
    SymbolicPopulation,
    as_population,
)

SYMBOLIC = [SymbolicLoss(text) for text in ("-y*log(p)", "square(y - p)", "tanh(y)*p - p*p")]
REGRESSION = [SymbolicLoss(text, kind="regression") for text in ("abs(y - p)", "square(y - p)")]
MIXED: list[Loss] = [Focal(1.0), SymbolicLoss("-y*log(p)"), NeuralLoss()]


def batch(losses: Sequence[Loss]) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    if losses[0].kind.name == "classification":
        return torch.randn(6, 3, generator=draw), torch.randint(3, (6,), generator=draw)
    return torch.randn(6, 2, generator=draw), torch.randn(6, 2, generator=draw)


@pytest.mark.parametrize("losses", [SYMBOLIC, REGRESSION, MIXED], ids=["symbolic", "values", "any"])
def test_slope_and_mixed_derivative_are_those_of_each_loss(losses):
    outputs, targets = batch(losses)
    population = as_population(losses)
    assert len(population) == len(losses)
    tangent = torch.randn(len(losses), *outputs.shape)
    slopes = population.slope(outputs, targets)
    mixed = population.mixed(outputs, targets, tangent)
    for i in range(len(losses)):
        coefficients = population.coefficients[i].clone().requires_grad_()
        leaf = outputs.clone().requires_grad_()
        value = population.scalar(i, coefficients, leaf, targets)
        torch.testing.assert_close(value, losses[i](outputs, targets))
        (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
        torch.testing.assert_close(slopes[i], slope.detach(), rtol=1e-4, atol=1e-6)
        if not slope.requires_grad:
            continue
        along = (slope * tangent[i]).sum()
        (expected,) = torch.autograd.grad(
            along, coefficients, allow_unused=True, materialize_grads=True
        )
        torch.testing.assert_close(mixed[i], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("losses", [SYMBOLIC, MIXED], ids=["symbolic", "any"])
def test_losses_can_be_taken_out_and_changed(losses):
    outputs, targets = batch(losses)
    population = as_population(losses)
    chosen = population.select([2, 0])
    torch.testing.assert_close(chosen.loss(0)(outputs, targets), losses[2](outputs, targets))
    scaled = population.with_coefficients(population.coefficients * 2)
    again = scaled.loss(1)
    assert torch.equal(population.loss(1)(outputs, targets), losses[1](outputs, targets))
    assert not torch.equal(again(outputs, targets), losses[1](outputs, targets))


def test_kinds_do_not_mix():
    with pytest.raises(ConfigurationError, match="of one kind"):
        SymbolicPopulation([SYMBOLIC[0], REGRESSION[0]])
    with pytest.raises(ConfigurationError):
        ModulePopulation([Focal(), Huber()])
    with pytest.raises(ConfigurationError, match="at least one"):
        SymbolicPopulation([])
