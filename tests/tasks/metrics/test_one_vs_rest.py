"""Classes and labels, each against what it is not."""

import pytest
import torch

from lossforge.tasks.kinds import Classification, MultiLabel
from lossforge.tasks.metrics.one_vs_rest import Counts, mean_over, problems_of


@pytest.mark.parametrize("classes", [3, 5])
def test_the_predicted_class_is_the_one_that_argmax_finds(classes):
    outputs = torch.randint(3, (2, 50, classes)).double()  # with ties
    problems = problems_of(Classification(), outputs, torch.randint(classes, (50,)))
    said = torch.stack([problem.decisions(smooth=False) for problem in problems], -1)
    assert torch.equal(said.sum(-1), torch.ones(2, 50, dtype=torch.float64))
    assert torch.equal(said.argmax(-1), outputs.argmax(-1))


@pytest.mark.parametrize("classes", [2, 4])
def test_log_odds_are_those_of_the_probabilities(classes):
    outputs = torch.randn(2, 30, classes, dtype=torch.float64)
    problems = problems_of(Classification(), outputs, torch.randint(classes, (30,)))
    p = outputs.softmax(-1)
    for problem, own in zip(problems, p[..., -len(problems) :].unbind(-1), strict=True):
        torch.testing.assert_close(problem.log_odds, (own / (1 - own)).log())


def test_labels_keep_their_rows():
    targets = torch.tensor([[1, 0], [-100, 1], [0, 1]])
    problems = problems_of(MultiLabel(), torch.randn(1, 3, 2), targets)
    assert [problem.truth.tolist() for problem in problems] == [[True, False], [False, True, True]]


def test_shares_count_as_their_greatest_class():
    shares = torch.tensor([[0.2, 0.7, 0.1], [0.8, 0.1, 0.1]])
    problems = problems_of(Classification(), torch.randn(1, 2, 3), shares)
    assert [problem.truth.tolist() for problem in problems] == [
        [False, True],
        [True, False],
        [False, False],
    ]
    (single,) = problems_of(Classification(), torch.randn(1, 2, 1), shares[:, 1:2])
    assert single.truth.tolist() == [True, False]


def test_counts_are_of_all_rows():
    outputs = torch.randn(3, 40, 4)
    problems = problems_of(Classification(), outputs, torch.randint(4, (40,)))
    for smooth in (False, True):
        counts = Counts.of(problems, smooth=smooth)
        total = counts.hits + counts.misses + counts.false_alarms + counts.rejections
        torch.testing.assert_close(total, torch.full((3, 4), 40.0, dtype=torch.float64))
        assert torch.equal(counts.mirrored().hits, counts.rejections)


def test_a_mean_is_over_what_is_defined():
    values = torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]])
    found = mean_over(values, ~values.isnan())
    assert found[0] == 1
    assert bool(found[1].isnan())
