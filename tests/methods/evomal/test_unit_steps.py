import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses import CrossEntropy, Squared, SymbolicLoss, SymbolicPopulation
from lossforge.methods.evomal.genome import Genome
from lossforge.methods.evomal.unit_steps import UnitSteps, best_scale
from lossforge.searching import BaseTraining, Fitness, SearchContext, make_problems
from lossforge.tasks import load

PROBLEMS = {
    "classification": make_problems(load("iris"), "mlp:width=8"),
    "regression": make_problems(load("diabetes"), "mlp:width=8"),
}
DEFAULTS = {"classification": CrossEntropy(), "regression": Squared()}
LOSSES = ("abs(y - p)", "square(1.4*y - p)", "tanh(y*p)", "max(y, p)*p")


def measure(kind: str) -> UnitSteps:
    return UnitSteps.of(PROBLEMS[kind], 100, 0)


def slope(loss, sample) -> torch.Tensor:
    leaf = sample.outputs.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf, sample.targets), leaf)[0]


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("text", LOSSES)
def test_a_scaled_loss_steps_as_the_default_loss_does(kind, text):
    unit = measure(kind)
    genome = Genome.read(text, 3.0)
    loss = SymbolicLoss(genome.expression, genome.coefficients, kind=kind)
    (scaled,) = unit.scaled([genome], [loss])
    (sample,) = unit.samples
    mine = slope(SymbolicLoss(scaled.expression, scaled.coefficients, kind=kind), sample)
    theirs = slope(DEFAULTS[kind], sample)
    assert float(mine.norm()) == pytest.approx(3 * float(theirs.norm()), rel=1e-3)
    assert float((mine * theirs).sum()) > 0
    assert scaled.coefficients[1:] == genome.coefficients[1:]


@given(factor=st.floats(0.02, 50), sign=st.sampled_from([-1, 1]))
def test_losses_that_differ_by_a_factor_become_one(factor, sign):
    unit = measure("classification")
    texts = [f"{sign * factor!r}*square(y - p)", "square(y - p)"]
    one, other = unit.factors([SymbolicLoss(text) for text in texts])
    assert one is not None
    assert one * sign * factor == pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize("text", ["y*y", "sign(p)*y", "p - p"])
def test_a_loss_without_a_gradient_has_no_factor(text):
    assert measure("classification").factors([SymbolicLoss(text)]) == [None]


def test_several_tasks_share_a_factor():
    problems = [make_problems(load(name), "linear")[0] for name in ("iris", "wine")]
    unit = UnitSteps.of(problems, 50, 0)
    (factor,) = unit.factors([SymbolicLoss("square(y - p)")])
    apart = [UnitSteps((s,)).factors([SymbolicLoss("square(y - p)")])[0] for s in unit.samples]
    assert min(apart) <= factor <= max(apart)


def test_a_genome_is_resized():
    genome = Genome.read("6.0*abs(y - p)", 2.0)
    resized = UnitSteps.resized(genome, 1.0)
    assert (resized.coefficients[0], resized.scale) == (3.0, 1.0)


def test_the_default_loss_at_a_low_rate_is_best_at_a_high_scale():
    context = SearchContext(tuple(PROBLEMS["classification"]), 0, lambda *_: None)
    low, high = (
        best_scale(Fitness(40, measure="margin"), BaseTraining(learning_rate=rate), context)
        for rate in (1e-4, 1e-1)
    )
    assert low > 10 * high


def test_factors_are_of_slopes_that_populations_have():
    unit = measure("classification")
    (sample,) = unit.samples
    losses = [SymbolicLoss(text) for text in LOSSES]
    sizes = SymbolicPopulation(losses).slope(sample.outputs, sample.targets).flatten(1).norm(dim=1)
    theirs = slope(CrossEntropy(), sample).norm()
    for factor, size in zip(unit.factors(losses), sizes, strict=True):
        assert abs(factor) * float(size / theirs) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("text", ["log(p - 0.5*y)", "log(tanh(2.6*y - 2.3*p + 1.1))"])
def test_a_loss_with_a_pole_has_no_factor(text):
    assert measure("classification").factors([SymbolicLoss(text)]) == [None]


@pytest.mark.parametrize("text", ["-y*log(p)", "square(y - p)", "abs(y - p)", "sqrt(p)*y"])
def test_a_loss_that_is_steep_nowhere_has_one(text):
    assert measure("classification").factors([SymbolicLoss(text)]) != [None]
