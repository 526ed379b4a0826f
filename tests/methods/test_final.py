from lossforge.losses import CrossEntropy, SymbolicLoss
from lossforge.methods import BaseTraining, pose
from lossforge.methods.final import Final
from lossforge.methods.fitness import Fitness
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
