"""Folds: every row validates once, no row of the test is used, and unfit tasks stay as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError
from lossforge.tasks import Split, Task, folds, load
from lossforge.tasks.cross_validation import FEW_ROWS


def table(rows: int, seed: int, kind: str = "classification", **options: object) -> Task:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(rows, 2))
    targets = inputs.sum(1) if kind == "regression" else np.arange(rows) % 3
    return Task.from_arrays(inputs, targets, split_seed=seed, **options)


@given(
    rows=st.integers(40, 120),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["classification", "regression"]),
)
def test_every_row_but_those_of_the_test_validates_once(rows, seed, kind):
    task = table(rows, seed, kind)
    several = folds(task, 99, seed)
    assert several[0] is task
    validated = torch.cat([fold.valid.rows for fold in several])
    own = torch.cat([task.train.rows, task.valid.rows])
    assert sorted(validated.tolist()) == sorted(own.tolist())
    for fold in several:
        together = torch.cat([fold.train.rows, fold.valid.rows])
        assert sorted(together.tolist()) == sorted(own.tolist())
        assert fold.test is task.test


@given(rows=st.integers(60, 200), seed=st.integers(0, 99))
def test_folds_hold_every_class_in_proportion(rows, seed):
    for fold in folds(table(rows, seed), 4, seed):
        counts = torch.bincount(fold.valid.targets, minlength=3)
        assert counts.max() - counts.min() <= 2


def test_rows_keep_their_inputs_and_targets():
    task = table(90, 1)
    values = {int(row): task.train.inputs[i] for i, row in enumerate(task.train.rows)}
    fold = folds(task, 3)[2]
    assert all(
        torch.equal(values[int(row)], fold.valid.inputs[i]) for i, row in enumerate(fold.valid.rows)
    )


def test_a_seed_decides_the_folds():
    task = table(90, 1)
    first, again, other = (folds(task, 3, seed)[1].valid.rows for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "task",
    [
        load("planted_outliers"),  # its validation rows are clean, its training rows are not
        table(90, 0, groups=np.arange(90) // 3),
        table(90, 0, times=np.arange(90)),
        replace(table(90, 0), interchangeable=False),
        table(2 * FEW_ROWS, 0),
    ],
    ids=["planted", "groups", "times", "told", "large"],
)
def test_a_task_whose_rows_are_not_interchangeable_is_its_own_only_fold(task):
    assert folds(task, 4) == (task,)


def test_given_validation_rows_stay():
    inputs, labels = np.zeros((60, 1)), np.arange(60) % 2
    task = Task.from_arrays(inputs, labels, valid=(inputs, labels), test=(inputs, labels))
    assert folds(task, 4) == (task,)


def test_no_fold_is_refused():
    with pytest.raises(ConfigurationError, match="folds"):
        folds(table(60, 0), 0)


def test_a_metric_that_a_fold_does_not_define_leaves_the_task_whole():
    draw = torch.Generator().manual_seed(0)
    labels = torch.zeros(60, dtype=torch.int64)
    labels[[0, 1, 40, 50]] = 1
    parts = torch.arange(60).split((40, 10, 10))
    inputs = torch.randn(60, 2, generator=draw)
    splits = (Split(inputs[rows], labels[rows], rows) for rows in parts)
    task = Task("rare", "classification", 2, *splits, measured_by="auroc", interchangeable=True)
    assert folds(task, 5) == (task,)
    assert len(folds(task.with_metric(None), 5)) == 5
