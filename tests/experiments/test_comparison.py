"""The closing comparison: fair within a seed, honest between seeds."""

import pytest

from lossforge.errors import ConfigurationError
from lossforge.experiments.comparison import Comparison
from lossforge.losses import CrossEntropy, Focal, SymbolicLoss
from lossforge.searching import BaseTraining, make_problems
from lossforge.tasks import load


def scores(losses, seed=0, **settings):
    (problem,) = make_problems(load("iris"), "linear")
    stages = []
    found = Comparison(3, 40)(
        losses,
        problem,
        BaseTraining(**settings),
        seed,
        progress=lambda *stage: stages.append(stage),
    )
    return found, stages


def test_equal_losses_have_equal_scores_and_seeds_differ():
    found, _ = scores({"a": CrossEntropy(), "b": CrossEntropy(), "c": Focal(2.0)})
    assert [each.name for each in found] == ["a", "b", "c"]
    assert found[0].test == found[1].test
    assert found[0].valid == found[1].valid
    assert found[2].valid != found[0].valid
    assert len(set(found[0].valid)) > 1


def test_a_loss_s_scores_do_not_depend_on_its_rivals():
    (alone,), _ = scores({"a": CrossEntropy()})
    (beside, _), _ = scores({"a": CrossEntropy(), "c": Focal(2.0)})
    assert alone.test == pytest.approx(beside.test)


def test_divergence_is_the_worst_score():
    # Its slope by p is enormous and of the wrong sign.
    wild = SymbolicLoss("-1e14*square(y - p)")
    (found, fine), _ = scores({"wild": wild, "b": CrossEntropy()}, learning_rate=1e6)
    assert len(found.test) == len(fine.test) == 3
    assert all(score == float("inf") or score >= 0 for score in found.test)


def test_progress_counts_the_steps_of_all_seeds():
    _, stages = scores({"a": CrossEntropy()})
    done = [step for _, step, _ in stages]
    assert done == sorted(done)
    assert {(name, total) for name, _, total in stages} == {("comparing", 120)}


@pytest.mark.parametrize("settings", [{"compare_seeds": 0}, {"compare_steps": 0}])
def test_settings_out_of_range_are_told(settings):
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        Comparison(**settings)
