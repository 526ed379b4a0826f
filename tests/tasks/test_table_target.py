"""The target column decides the kind of a task unless the user does."""

import numpy as np
import pandas as pd
import pytest

from lossforge.errors import DataError
from lossforge.tasks.table_target import read_target


def column(values) -> pd.Series:
    return pd.Series(values, name="y")


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["b", "a", "b"], "classification", ("a", "b")),
        ([True, False, True], "classification", ("False", "True")),
        ([2, 10, 2], "classification", ("2", "10")),
        ([2.0, 10.0, 2.0], "classification", ("2", "10")),
        (["1", True, 2.5], "classification", ("1", "2.5", "True")),
        (range(20), "classification", tuple(map(str, range(20)))),
        (range(21), "regression", ()),
        ([0.5, 1.0, 0.5], "regression", ()),
    ],
)
def test_values_decide_the_kind(values, kind, classes):
    target = read_target(column(values), None)
    assert (target.kind, target.classes) == (kind, classes)


def test_labels_follow_the_order_of_classes():
    target = read_target(column([10, 2, 10, 3]), None)
    assert target.values.tolist() == [2, 0, 2, 1]
    assert target.strata.tolist() == ["10", "2", "10", "3"]


def test_the_user_overrides_the_kind():
    assert read_target(column([0, 1, 2]), "regression").values.tolist() == [0, 1, 2]
    target = read_target(column([0.5, 1.0, 0.5]), "classification")
    assert target.classes == ("0.5", "1")
    assert target.values.tolist() == [0, 1, 0]


def test_regression_is_stratified_by_quantiles():
    target = read_target(column(np.linspace(0, 1, 100)), None)
    assert np.bincount(target.strata).tolist() == [10] * 10


@pytest.mark.parametrize(
    ("values", "kind", "complaint"),
    [
        ([1.5, np.nan, 2, np.nan], None, r"has no value .* in rows 2, 4 below the header"),
        (["a", None, "b"], None, r"has no value .* in row 2 below the header"),
        ([np.nan] * 9, None, r"in rows 1, 2, 3 and 6 more below"),
        ([1.5, np.inf, -np.inf], None, r"is infinite in rows 2, 3"),
        ([1.5, 2, 1e300], None, r"is infinite in row 3"),
        ([3, 3, 3], None, r"is '3' in every row: there is nothing to learn"),
        ([0.5, 0.5], None, r"is '0.5' in every row"),
        (["a", "a"], None, r"is 'a' in every row"),
        (["a", "b"], "regression", r"is not numeric and cannot be regressed"),
    ],
)
def test_unfit_targets_are_refused(values, kind, complaint):
    with pytest.raises(DataError, match=complaint) as caught:
        read_target(column(values), kind)
    assert "'y'" in str(caught.value)
