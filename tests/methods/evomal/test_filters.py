import pytest
import torch

from lossforge.losses import SymbolicLoss, SymbolicPopulation
from lossforge.losses.expression import parse
from lossforge.methods.evomal.filters import (
    fresh_predictions,
    gradient_keys,
    improves_predictions,
    spread_predictions,
)
from lossforge.searching import make_problems
from lossforge.tasks import load

CLASSIFICATION = make_problems(load("iris"), "linear")[0]
REGRESSION = make_problems(load("diabetes"), "linear")[0]


def keys(*texts: str, problem=CLASSIFICATION) -> list[str | None]:
    sample = spread_predictions(problem, 60, 0)
    losses = [SymbolicLoss(parse(text), kind=problem.task.kind) for text in texts]
    return gradient_keys(losses, sample)


@pytest.mark.parametrize(
    "twins",
    [
        ("y*p", "y*p + y"),
        ("square(y - p)", "square(p) - (y + y)*p"),
        ("tanh(p)*y", "y*tanh(p) + abs(y)"),
        ("aq(p, y)", "aq(p, y) - tanh(y)"),
    ],
)
def test_losses_of_one_slope_share_a_key(twins):
    first, second = keys(*twins)
    assert first is not None
    assert first == second


@pytest.mark.parametrize("others", [("y*p", "y*p + y*p"), ("y*p", "y - y*p"), ("y*p", "p*p*y")])
def test_losses_of_other_slopes_do_not(others):
    first, second = keys(*others)
    assert first != second


def test_a_loss_without_slope_has_no_key():
    assert keys("y*y", "sign(p)*y", "p - p") == [None, None, None]


def verdicts(*texts: str, problem=CLASSIFICATION) -> list[bool]:
    losses = [SymbolicLoss(text, kind=problem.task.kind) for text in texts]
    sample = fresh_predictions(problem, 60, 0)
    return improves_predictions(SymbolicPopulation(losses), sample, problem.task.kind, 300)


def test_losses_that_teach_are_accepted_and_others_rejected():
    assert verdicts("-y*log(p)", "(y - p)**2", "abs(y - p)") == [True, True, True]
    assert verdicts("y*log(p)", "-1*(y - p)**2", "p", "y") == [False, False, False, False]


def test_regression_is_judged_likewise():
    good = verdicts("(y - p)**2", "sqrt(abs(y - p))", problem=REGRESSION)
    bad = verdicts("-1*(y - p)**2", "p*y", "y*log(y*y + 1)", problem=REGRESSION)
    assert all(good)
    assert not any(bad)


def test_samples_are_of_training_rows_and_follow_the_seed():
    first, again = (fresh_predictions(CLASSIFICATION, 40, 5) for _ in range(2))
    other = fresh_predictions(CLASSIFICATION, 40, 6)
    assert torch.equal(first.outputs, again.outputs)
    assert not torch.equal(first.outputs, other.outputs)
    assert spread_predictions(CLASSIFICATION, 40, 5).outputs.std() > 1.5
