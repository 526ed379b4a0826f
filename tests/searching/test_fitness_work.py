"""Fitness runs as jobs: split as finely as leaves the numbers as they are, to the last bit."""

import pytest

from lossforge.losses import SymbolicLoss, as_population
from lossforge.searching import BaseTraining, make_problems
from lossforge.searching.executors import Here
from lossforge.searching.fitness import Fitness
from lossforge.searching.fitness_work import FitnessJob, FitnessWork, independent_groups
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
    found = [trial for trials in Here().map(FitnessWork(problems), parts) for trial in trials]
    assert found == job.fitness(as_population(LOSSES), problems, BASE, 0, quiet)
    assert len({trial.fitness for trial in found}) > 1


def test_a_stack_on_any_task_keeps_losses_together(problems, monkeypatch):
    chosen = iter(["separate", "stacked"])
    monkeypatch.setattr("lossforge.searching.fitness_work.choose_stacking", lambda _: next(chosen))
    assert independent_groups(LOSSES, problems * 2, BASE) == [LOSSES]


def test_the_strategy_that_is_asked_for_is_not_chosen_again(problems, monkeypatch):
    monkeypatch.setattr("lossforge.searching.fitness_work.choose_stacking", None)
    assert independent_groups(LOSSES, problems, BASE, "stacked") == [LOSSES]
    assert independent_groups(LOSSES, problems, BASE, "separate") == [(each,) for each in LOSSES]
