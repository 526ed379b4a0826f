"""Fitness runs as jobs: divided by their number alone, and as finely as leaves the numbers."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses import SymbolicLoss
from lossforge.searching import BaseTraining, make_problems
from lossforge.searching.executors import Here
from lossforge.searching.fitness import Fitness
from lossforge.searching.fitness_work import (
    LARGEST_STACK,
    FitnessJob,
    ProblemWork,
    RungJob,
    chunks,
    divided,
    stack_limit,
)
from lossforge.tasks import load

LOSSES = tuple(SymbolicLoss(text) for text in ("-y*log(p)", "(y - p)**2", "abs(y - p)"))
BASE = BaseTraining(learning_rate=0.1)


@pytest.fixture(scope="module")
def problems():
    return tuple(make_problems(load("iris"), "linear"))


def quiet(*_: object) -> None: ...


@pytest.mark.parametrize("stacking", ["stacked", "separate"])
def test_split_jobs_give_the_numbers_of_the_whole(stacking, problems):
    job = FitnessJob(LOSSES, Fitness(20, racing=False, stacking=stacking), BASE, 0)
    parts = list(job.split(problems))
    assert [len(part.losses) for part in parts] == ([3] if stacking == "stacked" else [1, 1, 1])
    assert sum((part.losses for part in parts), ()) == LOSSES
    found = [trial for trials in Here().map(ProblemWork(problems), parts) for trial in trials]
    assert found == job.on(problems, quiet)
    assert len({trial.fitness for trial in found}) > 1


@given(st.integers(0, 500), st.integers(1, 64), st.integers(1, 20))
def test_places_are_divided_into_parts_of_nearly_equal_size(count, limit, undivided):
    parts = divided(count, limit, undivided)
    assert [place for part in parts for place in part] == list(range(count))
    sizes = [len(part) for part in parts]
    if count:
        assert 1 <= max(sizes) <= limit
        assert max(sizes) - min(sizes) <= 1
    if limit > 1 and count > min(limit, undivided):
        assert len(parts) % 2 == 0


def test_many_losses_are_stacked_in_chunks(problems):
    many = LOSSES * 7
    found = chunks(many, problems, BASE)
    assert sum(found, ()) == many
    assert [len(chunk) for chunk in found] == [10, 11]
    assert max(map(len, found)) <= LARGEST_STACK


def test_a_stack_on_any_task_keeps_losses_together(problems, monkeypatch):
    chosen = iter(["separate", "stacked"])
    monkeypatch.setattr("lossforge.searching.fitness_work.choose_stacking", lambda _: next(chosen))
    assert chunks(LOSSES, problems * 2, BASE) == [LOSSES]


def test_the_strategy_that_is_asked_for_is_not_chosen_again(problems, monkeypatch):
    monkeypatch.setattr("lossforge.searching.fitness_work.choose_stacking", None)
    assert chunks(LOSSES, problems, BASE, "stacked") == [LOSSES]
    assert chunks(LOSSES, problems, BASE, "separate") == [(each,) for each in LOSSES]
    assert stack_limit(problems, BASE, "separate") == 1


@pytest.mark.parametrize("stacking", ["stacked", "separate"])
@pytest.mark.parametrize("model", ["linear", "mlp:width=8"])
def test_a_run_in_rungs_is_the_run(stacking, model):
    problems = make_problems([load("iris"), load("wine")], model)
    fitness = Fitness(30, racing=False, stacking=stacking, measure="margin")
    (whole,) = FitnessJob(LOSSES[:1], fitness, BASE, 3).on(problems, quiet)
    first = RungJob(LOSSES[:1], fitness, BASE, 3, until=10)
    at_rung = first.on(problems, quiet)
    second = replace(first, until=30, begin=10, states=at_rung.states)
    reports = []
    found = second.on(problems, lambda *report: reports.append(report)).measured
    assert (found.scores, found.metrics) == ((whole.fitness,), (whole.metric,))
    assert reports[-1] == ("training", 20, 20)
    anew = replace(second, states=()).on(problems, quiet)
    assert anew.measured == found
    assert anew.states == ()


def test_a_large_state_is_not_sent(problems, monkeypatch):
    job = RungJob(LOSSES, Fitness(30), BASE, 0, until=10)
    assert len(job.on(problems, quiet).states) == 1
    monkeypatch.setattr("lossforge.searching.fitness_work.LARGEST_STATE", 100)
    assert job.on(problems, quiet).states == ()


def test_jobs_that_are_given_up_are_the_worst():
    trials = FitnessJob(LOSSES, Fitness(30), BASE, 0).given_up("it took longer than 5 s")
    assert [trial.fitness for trial in trials] == [inf] * 3
    assert {trial.outcome for trial in trials} == {"not computed"}
    rung = RungJob(LOSSES, Fitness(30), BASE, 0, until=10).given_up("it took longer than 5 s")
    assert rung.measured.scores == (inf,) * 3
    assert rung.measured.failures[0] == "not computed: it took longer than 5 s"
