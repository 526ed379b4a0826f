from dataclasses import dataclass, field
from math import inf

import pytest

from lossforge.errors import ConfigurationError
from lossforge.losses import CrossEntropy, SymbolicLoss
from lossforge.searching import BaseTraining, make_problems
from lossforge.searching.executors import Here
from lossforge.searching.fitness import Fitness, Trial
from lossforge.searching.fitness_work import Fold
from lossforge.searching.parallel_training import ParallelTraining
from lossforge.searching.reevaluation import Reevaluation
from lossforge.tasks import load

IRIS = make_problems(load("iris"), "linear")
BASE = BaseTraining(learning_rate=0.1)


def training(progress=lambda *_: None) -> ParallelTraining:
    return ParallelTraining(IRIS, Here(), progress)


def play(finalists: int, ranked):
    stages = []

    def progress(stage: str, done: int, total: int) -> None:
        stages.append(stage)

    winner = Reevaluation(finalists, runs=2)(ranked, Fitness(60), training(progress), BASE, 0)
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
    """Trains no network: tells what was written down for each loss and run.

    Attributes:
        scores: of each loss, by its formula: one for each initialization.
        calls: how many losses each run had.
        folds: those of the runs.
    """

    scores: dict[str, tuple[float, ...]]
    calls: list[int] = field(default_factory=list)
    folds: list[Fold] = field(default_factory=list)

    def runs(self, fitness, losses, base, draws, stage):
        assert not fitness.racing
        found = []
        for _, fold in draws:
            run = len(self.calls)
            self.calls.append(len(losses))
            self.folds.append(fold)
            found.append([Trial(self.scores[str(loss)][run], 1, None, ()) for loss in losses])
        return found


@pytest.mark.parametrize(("wild", "winner"), [(2, 2), (3, 3), (4, 0)])
def test_where_networks_diverge_under_all_finalists_the_next_play(wild, winner):
    losses = [SymbolicLoss(text) for text in ("p*y", "p - y", "abs(p - y)", "square(p - y)")]
    ranked = [(loss, 0.1) for loss in losses]
    scores = {str(loss): (inf if i < wild else 0.5,) * 4 for i, loss in enumerate(losses)}
    found, _ = Reevaluation(2, runs=1)(ranked, Fitness(1), Scripted(scores), BASE, 0)
    assert str(found) == str(losses[winner])


def test_a_longer_final_trains_for_as_many_steps():
    ranked, totals = [(CrossEntropy(), 0.0), (CrossEntropy(), 0.0)], set()

    def progress(stage: str, done: int, total: int) -> None:
        totals.add(total)

    Reevaluation(2, runs=1, steps=30)(ranked, Fitness(10), training(progress), BASE, 0)
    assert totals == {30}
    totals.clear()
    Reevaluation(2, runs=1, length=2.5)(ranked, Fitness(10), training(progress), BASE, 0)
    assert totals == {25}


@pytest.mark.parametrize("wrong", [{"finalists": 0}, {"runs": 0}, {"steps": -1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        Reevaluation(**wrong)


SHORT, LONG, POOR = (SymbolicLoss(text) for text in ("p - y", "abs(p - y)*(1 + p*p)", "p*y"))


def choose(settings: Reevaluation, *scores: tuple[float, ...]) -> str:
    losses = (SHORT, LONG, POOR)
    scripted = Scripted(dict(zip(map(str, losses), scores, strict=True)))
    ranked = [(loss, 0.1) for loss in losses]
    loss, _ = settings(ranked, Fitness(1), scripted, BASE, 0)
    assert scripted.calls
    return str(loss)


NOISY, BETTER, WORST = (0.30, 0.10, 0.20), (0.18, 0.22, 0.19), (0.9, 0.9, 0.9)


def test_the_simplest_within_a_standard_error_of_the_best_is_chosen():
    assert choose(Reevaluation(3, runs=3), NOISY, BETTER, WORST) == str(LONG)
    assert choose(Reevaluation(3, runs=3, simplest=True), NOISY, BETTER, WORST) == str(SHORT)
    far = tuple(score + 0.2 for score in NOISY)
    assert choose(Reevaluation(3, runs=3, simplest=True), far, BETTER, WORST) == str(LONG)


def test_a_simple_loss_that_fails_in_one_run_of_two_is_not_chosen():
    fails, works = (0.19, 0.9), (0.2, 0.21)
    assert choose(Reevaluation(2, runs=2, simplest=True), fails, works, (1, 1)) == str(LONG)


def test_only_those_that_are_kept_are_trained_under_again():
    losses = (SHORT, LONG, POOR)
    scripted = Scripted(dict(zip(map(str, losses), (NOISY, BETTER, WORST), strict=True)))
    settings = Reevaluation(3, runs=3, kept=2)
    settings([(loss, 0.1) for loss in losses], Fitness(1), scripted, BASE, 0)
    assert scripted.calls == [3, 2, 2]


def test_finalists_are_trained_on_folds_in_turn_and_on_that_of_candidates_last():
    losses = (SHORT, LONG)
    scripted = Scripted({str(loss): (0.5,) * 4 for loss in losses})
    Reevaluation(2, runs=4, folds=4)(
        [(loss, 0.1) for loss in losses], Fitness(1), scripted, BASE, 0
    )
    validated = [fold.of(IRIS[0]).task.valid.rows.tolist() for fold in scripted.folds]
    assert len({row for rows in validated for row in rows}) == 120
    assert validated[-1] == IRIS[0].task.valid.rows.tolist()


def test_the_best_factor_is_folded_into_the_loss():
    settings = Reevaluation(2, runs=1, confirmed=1, confirmed_runs=1, factors=(1.0, 30.0))
    weak = SymbolicLoss("0.01*square(y - p)")
    ranked = [(weak, 0.1), (SymbolicLoss("0.01*abs(y - p)"), 0.1)]
    base = BaseTraining(learning_rate=0.01)
    loss, _ = settings(ranked, Fitness(40, measure="margin"), training(), base, 0)
    assert loss.coefficients[0].item() == pytest.approx(0.3)


@pytest.mark.parametrize("wrong", [{"kept": -1}, {"confirmed": 0}, {"factors": ()}])
def test_further_settings_are_checked(wrong):
    with pytest.raises(ConfigurationError):
        Reevaluation(**wrong)
