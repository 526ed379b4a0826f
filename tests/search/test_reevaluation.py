from dataclasses import dataclass
from math import inf

import pytest

from lossforge.losses import CrossEntropy, SymbolicLoss
from lossforge.methods import BaseTraining, pose
from lossforge.search.fitness import Fitness, Trial
from lossforge.search.reevaluation import Final
from lossforge.tasks import load


def play(finalists: int, ranked):
    stages = []
    fitness = Fitness(60, BaseTraining(learning_rate=0.1))
    winner = Final(finalists, 2)(
        ranked, fitness, pose(load("iris"), "linear"), 0, lambda *told: stages.append(told[0])
    )
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
    race: None = None

    def __call__(self, losses, problems, seed, progress):
        names = [str(losses.loss(i)) for i in range(len(losses))]
        return [Trial(inf if name in self.wild else 0.5, 1, None, ()) for name in names]


@pytest.mark.parametrize(("wild", "winner"), [(2, 2), (3, 3), (4, 0)])
def test_where_networks_diverge_under_all_finalists_the_next_play(wild, winner):
    losses = [SymbolicLoss(text) for text in ("p*y", "p - y", "abs(p - y)", "square(p - y)")]
    ranked = [(loss, 0.1) for loss in losses]
    fitness = Scripted(tuple(map(str, losses[:wild])))
    found, _ = Final(2, 1)(ranked, fitness, pose(load("iris"), "linear"), 0, lambda *_: None)
    assert str(found) == str(losses[winner])


def test_a_longer_final_trains_for_as_many_steps():
    ranked, told = [(CrossEntropy(), 0.0), (CrossEntropy(), 0.0)], []
    problems = pose(load("iris"), "linear")
    final = Final(2, 1, steps=30)
    final(ranked, Fitness(10, BaseTraining()), problems, 0, lambda *heard: told.append(heard[2]))
    assert set(told) == {30}
