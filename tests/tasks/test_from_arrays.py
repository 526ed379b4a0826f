"""Arrays, tensors and data frames become tasks."""

import numpy as np
import pandas as pd
import pytest
import torch

from lossforge import Task
from lossforge.errors import ConfigurationError, DataError, LossforgeError
from lossforge.tasks.kinds import as_kind
from lossforge.tasks.table_options import TableOptions

DRAWS = np.random.default_rng(0)
INPUTS = DRAWS.normal(3, 2, (60, 4))
LABELS = np.arange(60) % 3
VALUES = DRAWS.normal(100, 20, 60)


def test_labels_are_classified_and_columns_standardized():
    task = Task.from_arrays(INPUTS, LABELS)
    assert (task.kind, task.classes, task.input_shape) == (
        as_kind("classification"),
        ("0", "1", "2"),
        (4,),
    )
    assert [len(split) for split in (task.train, task.valid, task.test)] == [36, 12, 12]
    assert torch.allclose(task.train.inputs.mean(0), torch.zeros(4), atol=1e-6)
    assert task.notes == ()


@pytest.mark.parametrize(
    "targets",
    [np.array(["a", "b", "c"])[LABELS], ["a", "b", "c"] * 20, pd.Series(["a", "b", "c"] * 20)],
)
def test_texts_are_labels(targets):
    assert Task.from_arrays(INPUTS, targets).classes == ("a", "b", "c")


def test_numbers_are_regressed_and_standardized():
    task = Task.from_arrays(torch.from_numpy(INPUTS), torch.from_numpy(VALUES))
    assert (task.kind, task.outputs) == (as_kind("regression"), 1)
    known = VALUES[task.train.rows]
    assert task.target_scale == pytest.approx((known.std(),))
    several = Task.from_arrays(INPUTS, np.stack([VALUES, VALUES**2], axis=1))
    assert (several.outputs, len(several.target_scale)) == (2, 2)


def test_a_kind_that_could_be_the_other_is_said():
    assert "kind='regression' was inferred" in Task.from_arrays(INPUTS, np.arange(60)).notes[0]
    assert "'classification' was inferred" in Task.from_arrays(INPUTS, LABELS * 1.0).notes[0]
    assert Task.from_arrays(INPUTS, LABELS * 1.0, kind="regression").notes == ()


def test_given_splits_are_kept():
    task = Task.from_arrays(
        INPUTS[:30],
        LABELS[:30],
        valid=(INPUTS[30:45], LABELS[30:45]),
        test=(INPUTS[45:], LABELS[45:]),
        scale_inputs=False,
    )
    assert torch.equal(task.valid.inputs, torch.from_numpy(INPUTS[30:45]).float())
    assert task.test.targets.tolist() == LABELS[45:].tolist()
    dealt = Task.from_arrays(INPUTS[:30], LABELS[:30], test=(INPUTS[45:], LABELS[45:]))
    assert (len(dealt.train) + len(dealt.valid), len(dealt.test)) == (30, 15)


def test_groups_and_times_decide_the_splits():
    groups = np.arange(60) // 5
    task = Task.from_arrays(INPUTS, LABELS, groups=groups)
    held = [set(groups[split.rows].tolist()) for split in (task.train, task.valid, task.test)]
    assert sum(map(len, held)) == 12
    days = np.datetime64("2024-01-01") + np.arange(60)[::-1]
    task = Task.from_arrays(INPUTS, LABELS, times=days)
    assert task.test.rows.tolist() == list(range(12))


def test_images_and_tokens():
    images = DRAWS.integers(0, 255, (60, 3, 4, 4), dtype=np.uint8)
    task = Task.from_arrays(images, LABELS)
    assert task.input_shape == (3, 4, 4)
    assert task.train.inputs.mean((0, 2, 3)).abs().max() < 1e-5
    tokens = Task.from_arrays(DRAWS.integers(0, 9, (60, 7)), LABELS, tokens=True)
    assert tokens.train.inputs.dtype == torch.int64


@pytest.mark.parametrize(
    ("inputs", "targets", "options", "complaint"),
    [
        (INPUTS[:50], LABELS, {}, "50 rows of inputs, but 60 targets"),
        (INPUTS, 3, {}, "the targets are a int; give an array"),
        ([["a"]] * 60, LABELS, {}, "no numbers; for a data frame there is"),
        ([[1], [1, 2]], [0, 1], {}, "no array"),
        (INPUTS[:9], LABELS[:9], {}, "9 rows are too few"),
        (INPUTS * np.nan, LABELS, {}, "holds NaN"),
        (INPUTS, LABELS, {"kind": "ranking"}, "ranking"),
        (INPUTS, ["a"] * 60, {"kind": "regression"}, "cannot be regressed"),
        (INPUTS, LABELS, {"classes": ("a", "b")}, "2 classes are named"),
        (INPUTS, LABELS, {"groups": [1, 2]}, "groups have shape"),
        (INPUTS, LABELS, {"groups": LABELS, "times": LABELS}, "give one of the two"),
        (INPUTS, LABELS, {"times": ["a"] * 60}, "times must be numbers or datetime64"),
        (INPUTS, LABELS, {"fractions": (0.5, 0.5)}, "fractions must be 3 numbers"),
        (INPUTS, LABELS, {"valid": (INPUTS[:, :2], LABELS)}, "bring them to one"),
        (INPUTS, LABELS, {"tokens": True}, "tokens are whole numbers"),
        (INPUTS, VALUES * np.inf, {}, "NaN, infinite"),
        (INPUTS, np.where(LABELS > 0, np.nan, 1.0), {"kind": "classification"}, "hold NaN"),
        (INPUTS, np.stack([LABELS, LABELS], 1), {"kind": "classification"}, "are no classes"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_mistakes_are_told_in_one_line(inputs, targets, options, complaint):
    with pytest.raises(LossforgeError) as caught:
        Task.from_arrays(inputs, targets, **options)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def table():
    colors = np.array(["red", "blue", "green"])[LABELS]
    return pd.DataFrame({"a": INPUTS[:, 0], "color": colors, "id": np.arange(60), "y": VALUES})


def test_data_frames_are_read_as_tables_are(table):
    task = Task.from_dataframe(table, "y", options=TableOptions(id=("id",)))
    assert (task.kind, task.input_shape) == (as_kind("regression"), (4,))


def test_given_data_frames_are_the_splits(table):
    table.loc[50, "y"] = np.nan
    task = Task.from_dataframe(table[:30], "y", valid=table[30:45], test=table[45:])
    assert [len(split) for split in (task.train, task.valid, task.test)] == [30, 15, 14]
    assert task.test.rows.tolist() == [*range(45, 50), *range(51, 60)]


def test_mistakes_with_data_frames(table):
    with pytest.raises(ConfigurationError, match="a list is no pandas data frame"):
        Task.from_dataframe([1], "y")
    with pytest.raises(DataError, match="no column is named 'z'"):
        Task.from_dataframe(table, "z")
    with pytest.raises(DataError, match="column 'id' is not in every data frame"):
        Task.from_dataframe(table, "y", test=table.drop(columns="id"))


def test_shares_of_classes_are_targets_of_classification():
    draw = np.random.default_rng(0)
    shares = draw.dirichlet([1.0, 1.0, 1.0], size=60)
    task = Task.from_arrays(draw.normal(size=(60, 4)), shares, kind="classification", metric="f1")
    assert (task.outputs, task.classes, task.metric) == (3, ("0", "1", "2"), "f1")
    assert task.train.targets.shape == (36, 3)
    assert task.train.targets.dtype == torch.float32
