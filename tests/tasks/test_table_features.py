"""Columns become numbers by what the training rows hold."""

import numpy as np
import pandas as pd
import pytest

from lossforge.errors import DataError
from lossforge.tasks.table_columns import read_columns
from lossforge.tasks.table_features import encode_features
from lossforge.tasks.table_options import TableOptions

TRAIN = np.arange(4)


def encode(**columns) -> np.ndarray:
    return encode_features(read_columns(pd.DataFrame(columns), TableOptions()), TRAIN)


def test_numbers_are_standardized():
    encoded = encode(a=[1, 2, 3, 4, 100])
    assert encoded[:4].mean() == pytest.approx(0)
    assert encoded[:4].std() == pytest.approx(1)
    assert encoded.shape == (5, 1)


def test_missing_numbers_take_the_training_median_and_a_mark():
    encoded = encode(a=[1.0, np.nan, 3.0, 8.0, np.nan, 1e6], b=[1.0, 2.0, 3.0, 4.0, np.nan, 5.0])
    numbers, marks = encoded[:, :2], encoded[:, 2:]
    # Only `a` lacks values in training.
    assert marks[:, 0].tolist() == [0, 1, 0, 0, 1, 0]
    assert marks.shape[1] == 1
    filled = np.array([1, 3, 3, 8])
    assert np.allclose(numbers[:4, 0], (filled - filled.mean()) / filled.std())
    assert numbers[4, 0] == numbers[1, 0]
    assert numbers[4, 1] == pytest.approx(0)


def test_categories_are_those_of_training_and_missing_is_one():
    encoded = encode(a=["x", "y", None, "x", "z", None])
    assert encoded.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_true_and_false_and_mixed_values_are_categories():
    assert encode(a=[True, False, True, True, False]).tolist() == [
        *[[0, 1], [1, 0], [0, 1], [0, 1]],
        [1, 0],
    ]
    assert encode(a=["1", 1, True, None, 2.5]).shape == (5, 3)


def test_columns_without_training_values_are_zero():
    encoded = encode(a=[np.nan] * 4 + [7.0], b=[2.0] * 4 + [9.0], c=[1.0, 2.0, 3.0, 4.0, 5.0])
    assert not encoded[:, :2].any()


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, 1e39])
def test_infinite_numbers_are_refused(wrong):
    with pytest.raises(DataError, match="column 'a' holds infinite values; mend or drop them"):
        read_columns(pd.DataFrame({"a": [1.0, wrong]}), TableOptions())


def test_identifiers_are_refused():
    names = [f"n{i}" for i in range(150)]
    complaint = r"too many distinct values for 150 rows: 'a' \(150\); .*drop=a"
    with pytest.raises(DataError, match=complaint):
        read_columns(pd.DataFrame({"a": names}), TableOptions())
    read_columns(pd.DataFrame({"a": names * 2}), TableOptions())
    with pytest.raises(DataError, match=r"for 3003 rows: 'a' \(1001\)"):
        read_columns(pd.DataFrame({"a": [f"n{i}" for i in range(1001)] * 3}), TableOptions())
