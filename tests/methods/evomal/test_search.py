"""What EvoMAL's own options do."""

from dataclasses import replace

import pytest

from lossforge.errors import ConfigurationError
from lossforge.losses import SymbolicLoss
from lossforge.methods import EvoMAL
from lossforge.methods.evomal import Filters
from lossforge.searching import Fitness, MetaTraining
from lossforge.tasks import load

TINY = EvoMAL(
    population=6,
    generations=2,
    fitness=Fitness(steps=30),
    filters=Filters(rejection_steps=20),
    tuning=MetaTraining(steps=20),
)


def test_keeping_untuned_coefficients_cannot_make_the_fittest_worse():
    task = load("iris")
    # Tuned by steps this large, coefficients end up anywhere.
    wild = TINY.with_options(meta_learning_rate=1.0, racing=False, generations=1)
    tuned = wild.run(task, "linear", 1)
    best = replace(wild, keep_untuned=True).run(task, "linear", 1)
    assert best.valid <= tuned.valid
    assert best.evaluations == 2 * tuned.evaluations


def test_expressions_to_begin_with_are_evaluated():
    seeded = TINY.with_options(seed_expressions=("abs(y - p)",), generations=1, racing=False)
    found = seeded.run(load("diabetes"), "linear", 0)
    assert found.counts["candidates"] >= 6
    with pytest.raises(ConfigurationError, match="do not fit a population"):
        replace(TINY, seed_expressions=("p",) * 7)


def test_the_front_falls_as_it_grows():
    found = TINY.run(load("iris"), "linear", 2)
    sizes = [member.size for member in found.front]
    fitnesses = [member.valid for member in found.front]
    assert sizes == sorted(set(sizes))
    assert fitnesses == sorted(fitnesses, reverse=True)


def test_counts_add_up():
    counts = TINY.run(load("iris"), "linear", 3).counts
    settled = counts["equal in form"] + counts.get("equal in gradient", 0) + counts["rejected"]
    assert counts["candidates"] == settled + counts["trained"]


@pytest.mark.parametrize(
    "wrong",
    [{"meta_steps": -1}, {"meta_learning_rate": 0.0}, {"inner_steps": 0}, {"horizon": 0}],
)
def test_tuning_out_of_range_is_refused_before_the_search_begins(wrong: dict[str, float]):
    with pytest.raises(ConfigurationError):
        EvoMAL().with_options(**wrong)


def test_without_meta_steps_nothing_is_tuned():
    untuned = TINY.with_options(meta_steps=0)
    found = untuned.run(load("iris"), "linear", 2)
    same = untuned.with_options(keep_untuned=True).run(load("iris"), "linear", 2)
    assert isinstance(found.loss, SymbolicLoss)
    assert set(found.loss.coefficients.tolist()) == {1.0}
    assert found.counts == same.counts
