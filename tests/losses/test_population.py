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


@pytest.mark.parametrize(
    ("kind", "shape", "weight"),
    [
        ("classification", (8, 3), (0.5, 1.0, 4.0)),
        ("classification", (8, 1), (0.6, 9.0)),
        ("classification", (5, 2, 4), (0.6, 9.0)),
        ("multilabel", (8, 3), ((1.0, 2.0), (0.5, 3.0), (1.0, 7.0))),
    ],
    ids=["classes", "single output", "positions", "labels"],
)
def test_weights_of_classes_count_as_in_each_loss(kind, shape, weight):
    given = torch.tensor(weight)
    texts = ("-y*log(p)", "square(y - p)", "tanh(y)*p - p*p")
    losses = [SymbolicLoss(text, kind=kind, weight=given) for text in texts]
    outputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    where = shape if kind == "multilabel" else (shape[0], *shape[2:])
    targets = torch.randint(max(2, shape[1]) if kind != "multilabel" else 2, where)
    targets.view(-1)[::5] = -100
    symbolic, modules = as_population(losses), ModulePopulation(losses)
    assert isinstance(symbolic, SymbolicPopulation)
    tangent = torch.randn(len(losses), *shape)
    close = {"rtol": 1e-4, "atol": 1e-6}
    ours, theirs = (each.slope(outputs, targets) for each in (symbolic, modules))
    torch.testing.assert_close(ours, theirs, **close)
    ours, theirs = (each.mixed(outputs, targets, tangent) for each in (symbolic, modules))
    torch.testing.assert_close(ours, theirs, **close)
    for each in (symbolic.loss(1), symbolic.select([2, 1]).loss(1)):
        assert torch.equal(each.weight, given)


def test_losses_of_other_weights_are_no_program():
    weights = (None, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0]))
    losses = [SymbolicLoss("-y*log(p)", weight=weight) for weight in weights]
    assert isinstance(as_population(losses), ModulePopulation)
    with pytest.raises(ConfigurationError, match="same class weights"):
        SymbolicPopulation(losses)
