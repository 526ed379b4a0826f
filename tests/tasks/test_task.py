"""A task is checked once, so that nothing later has to doubt it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lossforge.errors import DataError
from lossforge.tasks import Kind, Split, Task


def split(targets: Tensor, first_row: int) -> Split:
    rows = torch.arange(first_row, first_row + len(targets))
    return Split(rows.float()[:, None] * torch.tensor([1.0, 0.1]), targets, rows)


def make(kind: Kind = "classification") -> Task:
    targets = torch.tensor([0, 1, 2, 0, 1, 2])
    if kind == "regression":
        targets = torch.arange(18.0).view(6, 3)
    parts = (split(targets, 10 * i) for i in range(3))
    return Task("toy", kind, 3, *parts)


def swap(task: Task, part: str, **tensors: Tensor) -> Task:
    return replace(task, **{part: replace(getattr(task, part), **tensors)})


def test_properties_follow_from_kind_and_rows():
    task = make()
    assert (task.metric, task.input_shape, task.device) == ("error_rate", (2,), torch.device("cpu"))
    assert len(task.train) == 6
    assert make("regression").metric == "mse"


@pytest.mark.parametrize("device", ["cpu", *["cuda"] * torch.cuda.is_available()])
def test_moving_changes_nothing_but_the_device(device: str):
    task = make()
    moved = task.to(device)
    assert moved.device.type == moved.test.rows.device.type == device
    assert moved.fingerprint() == task.fingerprint()


def test_integer_inputs_are_allowed():
    tokens = torch.ones(6, 2).int()
    assert swap(make(), "train", inputs=tokens).train.inputs.dtype == torch.int32


@pytest.mark.parametrize("part", ["train", "valid", "test"])
@pytest.mark.parametrize("field", ["inputs", "targets", "rows"])
def test_fingerprint_sees_every_tensor(part: str, field: str):
    task = make("regression")
    changed = getattr(getattr(task, part), field).clone()
    changed.view(-1)[0] += 100
    assert swap(task, part, **{field: changed}).fingerprint() != task.fingerprint()


def test_fingerprint_sees_names_and_is_stable():
    task = make()
    assert task.fingerprint() == replace(task).fingerprint()
    assert len(task.fingerprint()) == 64
    assert replace(task, name="other").fingerprint() != task.fingerprint()
    assert replace(task, classes=("a", "b", "c")).fingerprint() != task.fingerprint()


@pytest.mark.parametrize("part", ["train", "valid", "test"])
@pytest.mark.parametrize(
    ("kind", "tensors", "complaint"),
    [
        (
            "classification",
            {"inputs": torch.ones(0, 2), "targets": torch.ones(0).long(), "rows": torch.ones(0)},
            "split is empty",
        ),
        ("classification", {"targets": torch.tensor([0, 1])}, "6 inputs, 2 targets and 6 row"),
        ("classification", {"rows": torch.tensor([0, 1])}, "6 targets and 2 row numbers"),
        ("classification", {"inputs": torch.full((6, 2), torch.nan)}, "NaN, infinite"),
        ("classification", {"inputs": torch.full((6, 2), torch.inf)}, "NaN, infinite"),
        ("classification", {"targets": torch.arange(6)}, "labels run from 0 to 5, but 3 classes"),
        ("classification", {"targets": torch.tensor([-1, 0, 1, 2, 0, 0])}, "run from -1 to 2"),
        ("classification", {"targets": torch.ones(6)}, "are float32 [6], but classification needs"),
        ("classification", {"targets": torch.ones(6, 1).long()}, "needs int64 [rows]"),
        ("regression", {"targets": torch.arange(6.0)}, "regression needs float32 [rows, 3]"),
        ("regression", {"targets": torch.ones(6, 3).double()}, "are float64 [6, 3]"),
        ("regression", {"targets": torch.full((6, 3), torch.nan)}, "NaN, infinite"),
    ],
)
def test_unfit_splits_are_refused(
    part: str, kind: Kind, tensors: dict[str, Tensor], complaint: str
):
    with pytest.raises(DataError) as caught:
        swap(make(kind), part, **tensors)
    assert complaint in str(caught.value)
    assert part in str(caught.value)
    assert str(caught.value).startswith("task 'toy': ")


def test_splits_of_different_shapes_are_refused():
    with pytest.raises(DataError, match=r"shape \[3\], those of the train split \[2\]"):
        swap(make(), "valid", inputs=torch.ones(6, 3))


def test_shared_rows_are_refused():
    with pytest.raises(DataError, match="2 rows stand in two splits"):
        swap(make(), "test", rows=torch.tensor([0, 1, 22, 23, 24, 25]))


def test_nothing_to_learn_is_refused():
    targets = torch.arange(18.0).view(6, 3)
    targets[:, 1] = 4
    with pytest.raises(DataError, match="constant on the training rows"):
        swap(make("regression"), "train", targets=targets)
    parts = (split(torch.zeros(6).long(), 10 * i) for i in range(3))
    with pytest.raises(DataError, match="one class only"):
        Task("toy", "classification", 1, *parts)


def test_classes_without_training_rows_are_named():
    labels = torch.tensor([0, 0, 0, 0, 0, 2])
    with pytest.raises(DataError, match="no training row of class 1;"):
        swap(make(), "train", targets=labels)
    with pytest.raises(DataError, match="no training row of class 'b';"):
        swap(replace(make(), classes=("a", "b", "c")), "train", targets=labels)


def test_classes_are_all_named_or_none():
    with pytest.raises(DataError, match="2 names for 3 classes"):
        replace(make(), classes=("a", "b"))
