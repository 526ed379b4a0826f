"""Candidates side by side: the same bytes by any executor, whatever happens to workers."""

import signal
from collections import Counter
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
import torch

from lossforge.losses import CrossEntropy, Focal, LabelSmoothing, SymbolicLoss, as_population
from lossforge.methods import EvoMAL
from lossforge.randomness import derive_seed
from lossforge.searching import BaseTraining, MetaTraining, make_problems
from lossforge.searching.executors import Executor, Here, LocalPool
from lossforge.searching.fitness import Fitness, Trial
from lossforge.searching.fitness_work import FitnessJob, Fold
from lossforge.searching.parallel_training import ParallelTraining, TuningJob
from lossforge.tasks import load
from searching.executors.jobs import DEADLY, Deadly

TASK = load("iris")
BASE = BaseTraining(learning_rate=0.1)
LOSSES = [SymbolicLoss(f"-y*log(p) + {0.1 * i}*square(y - p)") for i in range(10)]
LOSSES += [SymbolicLoss(f"{0.3 * (i + 1)}*abs(y - p)") for i in range(10)]
LOSSES += [SymbolicLoss("y*log(p)"), SymbolicLoss("p - y")]


class Counting(Executor):
    """Computes here, and keeps how many jobs there were in each call."""

    workers = 3

    def __init__(self):
        self.calls, self.works = [], []

    def map(self, work, jobs, report=None, give_up=None):
        self.calls.append(len(jobs))
        self.works.append(work)
        yield from Here().map(work, jobs, report)

    def close(self): ...


def training(executor: Executor | None = None, model: str = "linear") -> ParallelTraining:
    return ParallelTraining(make_problems(TASK, model), executor or Here(), lambda *_: None)


@pytest.fixture(scope="module")
def pool():
    with LocalPool(2) as pool:
        yield pool


HALVING = Fitness(40, halving=0.34, measure="margin")
SETTINGS = {
    "racing": Fitness(40),
    "halving": HALVING,
    "separate": replace(HALVING, stacking="separate"),
    "repeats": replace(HALVING, repeats=2),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_trials_are_those_of_one_process(name, pool):
    curves = ((0.4, 0.3, 0.2, 0.1),) if name == "racing" else ()
    found = [
        training(executor).fitness(SETTINGS[name], LOSSES, BASE, 1, curves)
        for executor in (Here(), pool)
    ]
    assert found[0] == found[1]
    assert len(found[0]) == len(LOSSES)
    assert len(Counter(trial.outcome for trial in found[0])) > 1


def test_halving_keeps_the_best_of_all_chunks():
    executor = Counting()
    settings = SETTINGS["separate"]
    found = training(executor).fitness(settings, LOSSES, BASE, 1)
    problems = make_problems(TASK, "linear")
    whole = FitnessJob(tuple(LOSSES), settings, BASE, 1).on(problems, lambda *_: None)
    # Scores of a single network may be rounded otherwise than those of many.
    assert [(trial.steps, trial.reason) for trial in found] == [
        (trial.steps, trial.reason) for trial in whole
    ]
    assert [trial.fitness for trial in found] == pytest.approx([each.fitness for each in whole])
    assert executor.calls == [22, 8, 4, 4]
    assert len(set(map(id, executor.works))) == 1


def test_stacked_survivors_are_divided_anew():
    executor = Counting()
    found = training(executor).fitness(HALVING, LOSSES, BASE, 1)
    assert executor.calls == [2, 2, 2, 2]
    whole = training(executor).fitness(replace(HALVING, stacking="separate"), LOSSES, BASE, 1)
    assert [trial.steps for trial in found] == [trial.steps for trial in whole]
    assert [trial.metric for trial in found] == pytest.approx([trial.metric for trial in whole])


def test_few_losses_stay_in_one_job():
    executor = Counting()
    training(executor).fitness(HALVING, LOSSES[:8], BASE, 1)
    assert executor.calls == [1]


@pytest.mark.parametrize("large", [False, True])
def test_a_network_that_is_too_large_to_send_is_trained_anew(large, monkeypatch):
    expected = training().fitness(SETTINGS["separate"], LOSSES, BASE, 1)
    if large:
        monkeypatch.setattr("lossforge.searching.fitness_work.LARGEST_STATE", 0)
    assert training().fitness(SETTINGS["separate"], LOSSES, BASE, 1) == expected


def test_runs_from_several_seeds_are_those_from_each(pool):
    losses = [CrossEntropy(), Focal(), LabelSmoothing()]
    fitness = Fitness(20).in_full(20)
    draws = [(3, Fold()), (3, Fold(1, count=3)), (4, Fold(5, count=3))]
    found = training(pool).runs(fitness, losses, BASE, draws, "final")
    assert found == [training().runs(fitness, losses, BASE, [d], "final")[0] for d in draws]
    assert found[0] != found[1] != found[2]


@pytest.mark.parametrize("horizon", [1, 3])
def test_tuned_coefficients_are_those_of_one_process(horizon, pool):
    losses = as_population(LOSSES)
    tuning = MetaTraining(steps=6, learning_rate=0.05, horizon=horizon)
    here, there = (
        training(executor).tune(tuning, losses, BASE, 5).coefficients for executor in (Here(), pool)
    )
    assert torch.equal(here, there)
    together = tuning(losses, make_problems(TASK, "linear"), BASE, 5, lambda *_: None).coefficients
    torch.testing.assert_close(here, together, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(here, losses.coefficients)


def test_progress_is_that_of_all_chunks_together():
    told = []
    parallel = ParallelTraining(
        make_problems(TASK, "linear"), Here(), lambda *report: told.append(report)
    )
    parallel.fitness(HALVING, LOSSES, BASE, 1)
    assert {(stage, total) for stage, _, total in told} == {("training", 40)}
    steps = [done for _, done, _ in told]
    assert steps == sorted(steps)
    assert steps[-1] == 40


class GivesUp(Executor):
    """Computes all jobs but the very first, which it gives up."""

    workers = 1
    given_up = 0

    def map(self, work, jobs, report=None, give_up=None):
        if not self.given_up:
            self.given_up = 1
            yield give_up(jobs[0], "failed 3 times; at last out of memory")
            jobs = jobs[1:]
        yield from Here().map(work, jobs, report)

    def close(self): ...


@pytest.mark.parametrize("name", SETTINGS)
def test_a_chunk_that_cannot_be_computed_costs_its_candidates(name):
    found = training(GivesUp()).fitness(SETTINGS[name], LOSSES, BASE, 1)
    assert found[0].fitness == inf
    assert found[0].outcome == "not computed"
    assert found[-3].fitness < inf


def test_coefficients_that_cannot_be_tuned_stay():
    losses = as_population(LOSSES[:3])
    tuning = MetaTraining(steps=6, learning_rate=0.05, horizon=3)
    tuned = training(GivesUp()).tune(tuning, losses, BASE, 5).coefficients
    assert torch.equal(tuned[0], losses.coefficients[0])
    assert not torch.equal(tuned[1], losses.coefficients[1])
    job = TuningJob(tuple(LOSSES[:3]), tuning, BASE, 5)
    assert torch.equal(job.given_up("for want of memory"), losses.coefficients)


class DeadlyPool(Executor):
    """A pool whose workers are killed in the middle of a generation."""

    def __init__(self, pool: LocalPool, folder: Path):
        self.pool, self.folder, self.workers = pool, folder, pool.workers
        self.works = {}

    def map(self, work, jobs, report=None, give_up=None):
        deadly = self.works.setdefault(id(work), Deadly(work, self.folder))
        yield from self.pool.map(deadly, jobs, report, give_up)

    def close(self):
        self.pool.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills a process")
def test_a_search_whose_workers_are_killed_finds_the_same(tmp_path):
    search = EvoMAL.preset("quick").with_options(
        **{"population": 12, "generations": 2, "fitness_steps": 20, "filter_steps": 20},
        **{"tune": "candidates", "meta_steps": 3, "horizon": 1, "finalists": 4, "final_kept": 2},
    )
    expected = search.run(TASK, "linear", 0, progress=False)
    with DeadlyPool(LocalPool(2), tmp_path) as executor:
        found = search.run(TASK, "linear", 0, progress=False, executor=executor)
    assert {mark.name for mark in tmp_path.iterdir()} == set(DEADLY)
    assert torch.equal(found.loss.coefficients, expected.loss.coefficients)
    assert str(found.loss) == str(expected.loss)
    assert (found.valid, found.counts) == (expected.valid, expected.counts)


@pytest.mark.parametrize("setting", ["racing", "halving"])
def test_complete_runs_are_repeated_from_other_initializations(setting):
    """And nothing else is: what was stopped stays as it was."""
    fitness = SETTINGS[setting]
    plain = training().fitness(fitness, LOSSES, BASE, 0)
    repeated = training().fitness(replace(fitness, repeats=2), LOSSES, BASE, 0)
    complete = [i for i, trial in enumerate(plain) if trial.reason is None]
    assert complete
    draws = [(derive_seed(0, "repeat", run), Fold()) for run in range(2)]
    some = [LOSSES[i] for i in complete]
    others = training().runs(fitness.in_full(40), some, BASE, draws, "training")
    for i, trial in enumerate(plain):
        if i not in complete:
            assert repeated[i] == trial
            continue
        one, two = (run[complete.index(i)] for run in others)
        mean = (trial.fitness + one.fitness + two.fitness) / 3
        assert repeated[i].fitness == pytest.approx(mean)
        assert repeated[i].steps == trial.steps + one.steps + two.steps
    assert [trial.curve for trial in others[0]] != [trial.curve for trial in others[1]]


def test_a_run_that_fails_once_has_failed():
    sound, failed = Trial(0.1, 5, None, (0.1,)), Trial(inf, 3, "diverged: at step 3", ())
    found = sound.averaged([sound, failed])
    assert (found.fitness, found.steps, found.reason) == (inf, 13, "diverged: at step 3")
    assert found.outcome == "diverged"
