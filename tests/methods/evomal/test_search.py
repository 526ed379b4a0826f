"""What EvoMAL's own options do."""

from dataclasses import replace

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.losses import SymbolicLoss
from lossforge.losses.class_weights import class_weights
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


def test_candidates_weigh_classes_and_so_does_what_is_found():
    task = load("breast_cancer").with_metric("f1")
    search = TINY.with_options(class_weights="balanced", scales=(0.3, 1.0), finalists=2)
    search = search.with_options(final_runs=2, confirmed_factors=(1.0, 3.0), tune="finalists")
    found = search.run(task, "linear", 0, progress=False)
    expected = class_weights(task.train.targets, task.kind, 2, "balanced")
    assert torch.equal(found.loss.weight, expected)
    assert all(torch.equal(member.loss.weight, expected) for member in found.front)


@pytest.mark.parametrize("weights", ["none", "rival"])
def test_without_weighted_rivals_candidates_have_no_weights(weights):
    search = TINY.with_options(class_weights=weights)
    assert search.run(load("iris"), "linear", 0, progress=False).loss.weight is None


def test_weights_are_of_one_task_with_classes():
    search = TINY.with_options(class_weights="root")
    with pytest.raises(ConfigurationError, match="the classes of one task"):
        search.run([load("iris"), load("wine")], "linear", progress=False)
    with pytest.raises(ConfigurationError, match="no classes to weigh"):
        search.run(load("diabetes"), "linear", progress=False)
