"""Targets of tasks are checked by their kind."""

import pytest
import torch

from lossforge.errors import DataError
from lossforge.tasks import Split, Task
from lossforge.tasks.kinds import Classification, MultiLabel


def parts(targets):
    starts = range(0, 300, 100)
    rows = [torch.arange(start, start + len(targets)) for start in starts]
    return [Split(torch.randn(len(targets), 2), targets, each) for each in rows]


def test_tasks_have_positions_and_several_labels():
    pixels = torch.randint(3, (8, 4, 4))
    pixels[:, 0] = 255
    pixels[0, 1, :3] = torch.arange(3)
    task = Task("pixels", Classification(255), 3, *parts(pixels))
    assert task.metric == "error_rate"
    tags = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-100.0, 1.0]])
    assert Task("tags", "multilabel", 2, *parts(tags)).kind == MultiLabel()


@pytest.mark.parametrize(
    ("kind", "outputs", "targets", "says"),
    [
        (Classification(), 3, torch.full((6, 4), -100), "no label of the train split counts"),
        (Classification(255), 2, torch.tensor([[0, 1, 2, 255]] * 6), "run from 0 to 2"),
        (MultiLabel(), 3, torch.zeros(6, 2), r"float32 or int64 \[rows, 3\]"),
        (MultiLabel(), 2, torch.zeros(6, 2), "label 0, 1 is the same on all training rows"),
        (MultiLabel(), 2, torch.full((6, 2), 3.0), "run from 3 to 3"),
        (MultiLabel(), 2, torch.full((6, 2), -100), "no target of the train split counts"),
    ],
)
def test_targets_of_tasks_are_checked(kind, outputs, targets, says):
    with pytest.raises(DataError, match=says):
        Task("bad", kind, outputs, *parts(targets))


def test_targets_may_be_shares_of_the_classes():
    shares = torch.randn(6, 3).softmax(1)
    task = Task("soft", "classification", 3, *parts(shares))
    assert task.kind.output_shape(3, shares) == (6, 3)
    assert task.with_metric("log_loss").metric == "log_loss"


@pytest.mark.parametrize("wrong", [torch.full((6, 3), 0.5), torch.tensor([[1.5, -0.5, 0.0]] * 6)])
def test_shares_must_add_up(wrong):
    with pytest.raises(DataError, match=r"targets \[rows, 3\] are no shares of the classes"):
        Task("soft", "classification", 3, *parts(wrong))


def test_two_classes_may_have_a_single_output():
    labels = torch.tensor([0, 1] * 3)
    task = Task("two", "classification", 2, *parts(labels), classes=("no", "yes"))
    single = task.with_single_output()
    assert (single.outputs, single.classes) == (1, ("no", "yes"))
    with pytest.raises(DataError, match="run from 0 to 2, but 2 classes"):
        Task("three", "classification", 1, *parts(torch.tensor([0, 1, 2] * 2)))
    with pytest.raises(DataError, match="classification with 3 outputs cannot have a single one"):
        Task("three", "classification", 3, *parts(torch.tensor([0, 1, 2] * 2))).with_single_output()
