"""Standardization sees the training rows alone."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from lossforge.tasks.assembly import assemble, standardize

TRAIN = np.arange(0, 40, 2)


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(3, [1, 10, 1e-3], size=(40, 3))


def test_columns_are_scaled_as_scikit_learn_does(values):
    expected = StandardScaler().fit(values[TRAIN]).transform(values)
    assert np.allclose(standardize(values, TRAIN), expected, rtol=1e-10)


def test_other_rows_do_not_count(values):
    poisoned = values.copy()
    poisoned[1::2] = 1e12
    assert np.array_equal(standardize(poisoned, TRAIN)[TRAIN], standardize(values, TRAIN)[TRAIN])


def test_what_is_constant_in_training_is_zero_everywhere(values):
    values[TRAIN, 1] = 0.1
    scaled = standardize(values, TRAIN)
    assert not scaled[:, 1].any()
    assert scaled[:, [0, 2]].all()


def test_channels_share_their_statistics():
    images = np.random.default_rng(0).normal([[[1]], [[5]]], 2, size=(40, 2, 3, 3))
    scaled = standardize(images, TRAIN, axes=(0, 2, 3))
    for channel in (0, 1):
        known = images[TRAIN, channel]
        expected = (images[:, channel] - known.mean()) / known.std()
        assert np.allclose(scaled[:, channel], expected)


def test_regression_targets_are_standardized_and_labels_are_not(values):
    parts = (TRAIN, np.arange(1, 20, 2), np.arange(21, 40, 2))
    task = assemble("t", "regression", inputs=values, targets=values[:, 1], parts=parts)
    expected = standardize(values[:, 1:2], TRAIN)
    assert torch.equal(task.valid.targets, torch.from_numpy(expected[parts[1]]).float())
    assert task.outputs == 1

    labels, classes = np.arange(40) // 4 % 2, ("a", "b")
    task = assemble(
        "t", "classification", inputs=values, targets=labels, parts=parts, classes=classes
    )
    assert task.test.targets.tolist() == labels[parts[2]].tolist()
    assert task.outputs == 2
