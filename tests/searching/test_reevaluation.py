from dataclasses import dataclass, field, replace
from math import inf

import pytest

from lossforge.errors import ConfigurationError
from lossforge.losses import CrossEntropy, SymbolicLoss
from lossforge.searching import BaseTraining, make_problems
from lossforge.searching.executors import Here
from lossforge.searching.fitness import Fitness, Trial
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
    """Fitness runs in which some losses make networks diverge."""

    wild: tuple[str, ...]
    steps: int = 1
    racing: bool = True
    stacking: str = "auto"

    def in_full(self, steps):
        return replace(self, steps=steps, racing=False)

    def __call__(self, losses, problems, base, seed, progress, curves):
        assert not self.racing
        names = [str(losses.loss(i)) for i in range(len(losses))]
        return [Trial(inf if name in self.wild else 0.5, 1, None, ()) for name in names]


@pytest.mark.parametrize(("wild", "winner"), [(2, 2), (3, 3), (4, 0)])
def test_where_networks_diverge_under_all_finalists_the_next_play(wild, winner):
    losses = [SymbolicLoss(text) for text in ("p*y", "p - y", "abs(p - y)", "square(p - y)")]
    ranked = [(loss, 0.1) for loss in losses]
    fitness = Scripted(tuple(map(str, losses[:wild])))
    found, _ = Reevaluation(2, runs=1)(ranked, fitness, training(), BASE, 0)
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


def scripted(scores: dict[str, tuple[float, ...]]):
    """Return fitness runs that give each loss a score for each initialization."""

    @dataclass(frozen=True)
    class ByRun:
        calls: list[int] = field(default_factory=list)
        steps: int = 1
        stacking: str = "auto"

        def in_full(self, steps):
            return self

        def __call__(self, losses, problems, base, seed, progress, curves):
            run = len(self.calls)
            self.calls.append(len(losses))
            names = [str(losses.loss(i)) for i in range(len(losses))]
            return [Trial(scores[name][run], 1, None, ()) for name in names]

    return ByRun()


SHORT, LONG, POOR = (SymbolicLoss(text) for text in ("p - y", "abs(p - y)*(1 + p*p)", "p*y"))


def choose(settings: Reevaluation, *scores: tuple[float, ...]) -> str:
    losses = (SHORT, LONG, POOR)
    fitness = scripted(dict(zip(map(str, losses), scores, strict=True)))
    ranked = [(loss, 0.1) for loss in losses]
    loss, _ = settings(ranked, fitness, training(), BASE, 0)
    assert fitness.calls
    return str(loss)


NOISY, BETTER, WORST = (0.30, 0.10, 0.20), (0.18, 0.22, 0.19), (0.9, 0.9, 0.9)


def test_the_simplest_within_a_standard_error_of_the_best_is_chosen():
    assert choose(Reevaluation(3, runs=3), NOISY, BETTER, WORST) == str(LONG)
    assert choose(Reevaluation(3, runs=3, simplest=True), NOISY, BETTER, WORST) == str(SHORT)
    far = tuple(score + 0.2 for score in NOISY)
    assert choose(Reevaluation(3, runs=3, simplest=True), far, BETTER, WORST) == str(LONG)


def test_only_those_that_are_kept_are_trained_under_again():
    losses = (SHORT, LONG, POOR)
    fitness = scripted(dict(zip(map(str, losses), (NOISY, BETTER, WORST), strict=True)))
    settings = Reevaluation(3, runs=3, kept=2)
    settings([(loss, 0.1) for loss in losses], fitness, training(), BASE, 0)
    assert fitness.calls == [3, 2, 2]


def test_finalists_are_trained_on_folds_in_turn_and_on_that_of_candidates_last():
    seen = []

    @dataclass(frozen=True)
    class Watched(Scripted):
        def __call__(self, losses, problems, base, seed, progress, curves):
            seen.append(problems[0].task.valid.rows)
            return super().__call__(losses, problems, base, seed, progress, curves)

    ranked = [(loss, 0.1) for loss in (SHORT, LONG)]
    Reevaluation(2, runs=4, folds=4)(ranked, Watched(()), training(), BASE, 0)
    validated = [row for rows in seen for row in rows.tolist()]
    assert len(set(validated)) == len(validated) == 120
    assert seen[-1].tolist() == IRIS[0].task.valid.rows.tolist()


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
