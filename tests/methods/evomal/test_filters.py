import pytest
import torch

from lossforge.losses import SymbolicLoss, SymbolicPopulation
from lossforge.losses.class_weights import class_weights
from lossforge.losses.expression import parse
from lossforge.methods.evomal.filters import (
    fresh_predictions,
    fresh_predictions_of_all_classes,
    gradient_keys,
    improves_every_class,
    improves_predictions,
    spread_predictions,
)
from lossforge.searching import make_problems
from lossforge.tasks import Split, Task, load

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


def rare_task(outputs: int = 1) -> Task:
    """One row in thirty is of the second class."""
    inputs = torch.randn(3000, 4, generator=torch.Generator().manual_seed(0))
    task = Task.from_arrays(inputs, torch.arange(3000) % 30 == 0, kind="classification")
    task = task.with_metric("f1")
    return task.with_single_output() if outputs == 1 else task


ONE_SIDED = ("abs(p)", "tanh(3*p + 20*y)", "log(p)")
"""only push down, whatever the target is, or do not see the second class"""

TWO_SIDED = ("square(y - p)", "abs(y - p)", "log(y + p)*(p - 2*y)")


def test_a_loss_that_only_leads_to_the_frequent_class_is_rejected_where_rare_ones_count():
    (problem,) = make_problems(rare_task(), "linear")
    sample = fresh_predictions_of_all_classes(problem, 100, 0)
    assert len(sample.outputs) == 1000
    losses = SymbolicPopulation([SymbolicLoss(text) for text in (*ONE_SIDED, *TWO_SIDED)])
    found = improves_every_class(losses, sample, problem.task.kind, 50)
    assert found == [False] * len(ONE_SIDED) + [True] * len(TWO_SIDED)
    # By the error rate, which the frequent class decides, they look as good.
    assert improves_predictions(losses, sample, problem.task.kind, 50)[0]


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("weighting", [None, "balanced", "root"])
def test_losses_that_pull_every_class_pass_with_weights_or_without(outputs, weighting):
    (problem,) = make_problems(rare_task(outputs), "linear")
    task = problem.task
    weight = weighting and class_weights(task.train.targets, task.kind, outputs, weighting)
    losses = [SymbolicLoss("square(y - p)", weight=weight)]
    sample = fresh_predictions_of_all_classes(problem, 100, 0)
    assert improves_every_class(SymbolicPopulation(losses), sample, task.kind, 50) == [True]


def test_of_positions_there_are_no_more_rows():
    labels = torch.randint(3, (60, 5, 5), generator=torch.Generator().manual_seed(0))
    rows = torch.arange(60)
    parts = [Split(torch.randn(20, 1, 5, 5), labels[some], some) for some in rows.split(20)]
    task = Task("pixels", "classification", 3, *parts).with_metric("miou")
    (problem,) = make_problems(task, lambda: torch.nn.Conv2d(1, 3, 1))
    sample = fresh_predictions_of_all_classes(problem, 10, 0)
    assert len(sample.outputs) == 10
    losses = SymbolicPopulation([SymbolicLoss("-y*log(p)"), SymbolicLoss("y*log(p)")])
    assert improves_every_class(losses, sample, task.kind, 30) == [True, False]
