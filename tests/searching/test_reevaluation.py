from dataclasses import dataclass, replace
from math import inf

import pytest

from lossforge.errors import ConfigurationError
from lossforge.losses import CrossEntropy, SymbolicLoss
from lossforge.searching import BaseTraining, make_problems
from lossforge.searching.fitness import Fitness, Trial
from lossforge.searching.reevaluation import Reevaluation
from lossforge.tasks import load

IRIS = make_problems(load("iris"), "linear")
BASE = BaseTraining(learning_rate=0.1)


def play(finalists: int, ranked):
    stages = []

    def progress(stage: str, done: int, total: int) -> None:
        stages.append(stage)

    winner = Reevaluation(finalists, runs=2)(ranked, Fitness(60), IRIS, BASE, 0, progress)
    return winner, set(stages)


def test_the_better_loss_wins_whatever_the_ranking_said():
    good, bad = CrossEntropy(), SymbolicLoss("y*log(p)")
    (winner, valid), stages = play(2, [(bad, 0.0), (good, 0.1)])
    assert winner is good
    assert 0 <= valid < 0.5
    assert stages == {"final training"}


def test_one_finalist_is_taken_as_it_stands():
    good, bad = CrossEntropy(), SymbolicLoss("y*log(p)")
    winner, stages = play(1, [(bad, 0.25), (good, 0.5)])
    assert winner == (bad, 0.25)
    assert not stages


@dataclass(frozen=True)
class Scripted:
    """Fitness runs in which some losses make networks diverge."""

    wild: tuple[str, ...]
    steps: int = 1
    racing: bool = True

    def in_full(self, steps):
        return replace(self, steps=steps, racing=False)

    def __call__(self, losses, problems, base, seed, progress):
        assert not self.racing
        names = [str(losses.loss(i)) for i in range(len(losses))]
        return [Trial(inf if name in self.wild else 0.5, 1, None, ()) for name in names]


@pytest.mark.parametrize(("wild", "winner"), [(2, 2), (3, 3), (4, 0)])
def test_where_networks_diverge_under_all_finalists_the_next_play(wild, winner):
    losses = [SymbolicLoss(text) for text in ("p*y", "p - y", "abs(p - y)", "square(p - y)")]
    ranked = [(loss, 0.1) for loss in losses]
    fitness = Scripted(tuple(map(str, losses[:wild])))
    found, _ = Reevaluation(2, runs=1)(ranked, fitness, IRIS, BASE, 0, lambda *_: None)
    assert str(found) == str(losses[winner])


def test_a_longer_final_trains_for_as_many_steps():
    ranked, totals = [(CrossEntropy(), 0.0), (CrossEntropy(), 0.0)], set()

    def progress(stage: str, done: int, total: int) -> None:
        totals.add(total)

    Reevaluation(2, runs=1, steps=30)(ranked, Fitness(10), IRIS, BASE, 0, progress)
    assert totals == {30}


@pytest.mark.parametrize("wrong", [{"finalists": 0}, {"runs": 0}, {"steps": -1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        Reevaluation(**wrong)
