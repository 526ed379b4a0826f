import math

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.losses import (
    CrossEntropy,
    ElementwiseLoss,
    SymbolicLoss,
)
from lossforge.methods import EvoMAL
from lossforge.searching import BaseTraining, make_problems
from lossforge.searching.fitness import Fitness, Race, Trial
from lossforge.searching.fitness_work import FitnessJob
from lossforge.tasks import load

LOSSES = ["-y*log(p)", "(y - p)**2", "y*log(p)", "-1*(p - y)**2", "abs(y - p)"]


BASE = BaseTraining(learning_rate=0.1)


def quiet(*_: object) -> None: ...


def measure_all(fitness, losses, problems, base=BASE, curves=()) -> list[Trial]:
    return FitnessJob(tuple(losses), fitness, base, 0, curves).on(problems, quiet)


def trials(racing: bool, stacking: str = "stacked", curves: tuple = ()) -> list[Trial]:
    losses = [SymbolicLoss(text) for text in LOSSES]
    fitness = Fitness(80, racing=racing, stacking=stacking)
    return measure_all(fitness, losses, make_problems(load("iris"), "linear"), curves=curves)


def test_good_losses_are_fit_and_bad_ones_are_not():
    found = trials(False)
    assert max(found[0].fitness, found[1].fitness) < 0.3
    assert min(found[2].fitness, found[3].fitness) > 0.3
    assert all(trial.steps == 80 and trial.reason is None for trial in found)


class Broken(ElementwiseLoss):
    def elementwise(self, y, p):
        return p * torch.nan

    def definition(self) -> dict[str, object]:
        return {}

    def __str__(self) -> str:
        return "broken"


def test_a_candidate_that_diverges_is_a_result():
    losses = [Broken("classification"), CrossEntropy()]
    problems = make_problems(load("iris"), "linear")
    trial, other = measure_all(Fitness(40), losses, problems)
    assert math.isfinite(other.fitness)
    assert math.isinf(trial.fitness)
    assert trial.reason.startswith("diverged")


def test_stacked_and_separate_training_agree():
    stacked, separate = (trials(False, how) for how in ("stacked", "separate"))
    for a, b in zip(stacked, separate, strict=True):
        assert a.fitness == pytest.approx(b.fitness, abs=0.04)
        assert (a.reason is None) == (b.reason is None)


def test_racing_stops_the_hopeless_and_spares_the_winner():
    full = trials(False)
    # A race without earlier runs stops nothing; what the good ones looked like teaches the next.
    curves = tuple(t.curve for t in trials(True)[:2])
    raced = trials(True, curves=curves)
    assert [t.reason is None for t in raced[:2]] == [True, True]
    assert raced[2].reason.startswith("stopped: hopeless")
    assert raced[2].steps < 80
    assert min(t.fitness for t in raced) == min(t.fitness for t in full)


def test_the_first_run_of_a_search_is_never_stopped():
    assert not Race(0.0).is_hopeless(0, 1e9)
    assert Race(0.01, ((0.5, 0.4, 0.3, 0.2),)).is_hopeless(0, 0.7)
    assert not Race(0.01, ((0.5, 0.4, 0.3, 0.2),)).is_hopeless(0, 0.6)


@pytest.mark.parametrize("seed", [0, 1])
def test_racing_changes_the_winner_by_no_more_than_its_tolerance(seed):
    small = {"population": 8, "generations": 3, "meta_steps": 5, "fitness_steps": 60}
    small |= {"filter_steps": 50}
    raced, full = (
        EvoMAL().with_options(**small, racing=racing).run(load("iris"), "linear", seed)
        for racing in (True, False)
    )
    assert raced.valid <= full.valid + Fitness().racing_tolerance


def test_trials_are_plain_data_and_back():
    for trial in trials(False):
        assert Trial.from_state(trial.state()) == trial


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigurationError):
        Fitness(0)
    with pytest.raises(ConfigurationError):
        Fitness(racing_tolerance=-0.1)


@pytest.mark.parametrize("racing", [False, True])
def test_the_best_evaluation_counts_where_asked(racing):
    losses = [SymbolicLoss("square(y - p)", kind="regression")]
    problems = make_problems(load("diabetes"), "mlp:width=64")
    # A rate at which the network overfits its 265 rows long before the end.
    base = BaseTraining(learning_rate=0.05)
    last, best = (
        measure_all(Fitness(300, racing=racing, best_evaluation=best), losses, problems, base)[0]
        for best in (False, True)
    )
    assert best.fitness == min(best.curve) < last.fitness
    assert best.reason is None
    assert best.steps == 300


def halved(share: float, measure: str = "metric") -> list[Trial]:
    losses = [SymbolicLoss(text) for text in LOSSES + LOSSES[:3]]
    fitness = Fitness(80, halving=share, measure=measure)
    return measure_all(fitness, losses, make_problems(load("iris"), "linear"))


def test_halving_stops_the_worse_at_each_rung():
    found = halved(0.5, "margin")
    ended = [trial for trial in found if trial.reason is None]
    stopped = [trial for trial in found if trial.reason is not None]
    assert len(ended) == 4
    assert {trial.steps for trial in stopped} == {10}
    assert all(trial.outcome == "stopped" for trial in stopped)
    assert max(trial.curve[0] for trial in ended) <= min(trial.fitness for trial in stopped)


def test_halving_does_not_stop_all():
    assert all(trial.reason is None for trial in trials_of(Fitness(80, halving=0.01)))


def trials_of(fitness: Fitness) -> list[Trial]:
    losses = [SymbolicLoss(text) for text in LOSSES[:3]]
    return measure_all(fitness, losses, make_problems(load("iris"), "linear"))


def test_margins_rank_and_the_metric_stands_beside_them():
    plain = trials_of(Fitness(40, racing=False))
    smooth = trials_of(Fitness(40, racing=False, measure="margin"))
    assert [trial.metric for trial in smooth] == [trial.fitness for trial in plain]
    assert [trial.fitness for trial in smooth] != [trial.fitness for trial in plain]
    for trial in (*plain, *smooth):
        assert Trial.from_state(trial.state()) == trial


def test_in_regression_margins_are_the_metric():
    losses = [SymbolicLoss("abs(y - p)", kind="regression")]
    problems = make_problems(load("diabetes"), "linear")
    found = [
        measure_all(Fitness(20, measure=measure), losses, problems)
        for measure in ("metric", "margin")
    ]
    assert found[0] == found[1]


def test_trainings_in_full_are_not_stopped():
    full = Fitness(10, halving=0.5).in_full(30)
    assert (full.steps, full.halving, full.racing) == (30, 0.0, False)
