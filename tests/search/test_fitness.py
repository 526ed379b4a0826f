import math

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.losses import (
    CrossEntropy,
    ElementwiseLoss,
    SymbolicLoss,
    SymbolicPopulation,
    as_population,
)
from lossforge.methods import BaseTraining, EvoMAL, pose
from lossforge.search.fitness import Fitness, Race, Trial
from lossforge.tasks import load

LOSSES = ["-y*log(p)", "(y - p)**2", "y*log(p)", "-1*(p - y)**2", "abs(y - p)"]


def trials(race: Race | None, stacking: str = "stacked") -> list[Trial]:
    losses = SymbolicPopulation([SymbolicLoss(text) for text in LOSSES])
    fitness = Fitness(80, BaseTraining(learning_rate=0.1), stacking, race)
    return fitness(losses, pose(load("iris"), "linear"), 0, lambda *_: None)


def test_good_losses_are_fit_and_bad_ones_are_not():
    found = trials(None)
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
    losses = as_population([Broken("classification"), CrossEntropy()])
    fitness = Fitness(40, BaseTraining(learning_rate=0.1))
    trial, other = fitness(losses, pose(load("iris"), "linear"), 0, lambda *_: None)
    assert math.isfinite(other.fitness)
    assert math.isinf(trial.fitness)
    assert trial.reason.startswith("diverged")


def test_stacked_and_separate_training_agree():
    stacked, separate = (trials(None, how) for how in ("stacked", "separate"))
    for a, b in zip(stacked, separate, strict=True):
        assert a.fitness == pytest.approx(b.fitness, abs=0.04)
        assert (a.reason is None) == (b.reason is None)


def test_racing_stops_the_hopeless_and_spares_the_winner():
    full = trials(None)
    # A race without earlier runs stops nothing; what the good ones looked like teaches the next.
    curves = tuple(t.curve for t in trials(Race(0.01))[:2])
    raced = trials(Race(0.01, curves))
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
    raced, full = (
        EvoMAL(**small, filter_steps=50, racing=racing).run(load("iris"), "linear", seed)
        for racing in (True, False)
    )
    assert raced.valid <= full.valid + EvoMAL().racing_tolerance


def test_trials_are_plain_data_and_back():
    for trial in trials(None):
        assert Trial.from_state(trial.state()) == trial


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigurationError):
        Fitness(0, BaseTraining())
    with pytest.raises(ConfigurationError):
        Race(-0.1)


@pytest.mark.parametrize("race", [None, Race(0.01)])
def test_the_best_look_counts_where_asked(race):
    losses = SymbolicPopulation([SymbolicLoss("square(y - p)", kind="regression")])
    problems = pose(load("diabetes"), "mlp:width=64")
    # A rate at which the network overfits its 265 rows long before the end.
    last, best = (
        Fitness(300, BaseTraining(learning_rate=0.05), race=race, best_look=look)(
            losses, problems, 0, lambda *_: None
        )[0]
        for look in (False, True)
    )
    assert best.fitness == min(best.curve) < last.fitness
    assert best.reason is None
    assert best.steps == 300
