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
    assert (target.kind.name, target.classes) == (kind, classes)


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
        ([np.nan] * 9, None, r"has no value in any row"),
        ([1.5, np.inf, -np.inf], None, r"is infinite in row 2, 3"),
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


def test_rows_without_a_target_are_left_out_and_said():
    target = read_target(column([1.5, np.nan, 2, np.nan]), None)
    assert target.values.tolist() == [1.5, 2]
    assert target.kept.tolist() == [True, False, True, False]
    assert target.notes == (
        "2 of 4 rows have no target 'y' and are left out: rows 2, 4 below the header",
    )
    assert "rows 2, 3, 4 and 4 more" in read_target(column(["a", *[None] * 7, "b"]), None).notes[0]


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        (range(3, 9), "classification", "6 whole numbers from 3 to 8; y:regression in the"),
        (range(21), "regression", "21 whole numbers from 0 to 20; y:classification in the"),
    ],
)
def test_a_kind_that_could_be_the_other_is_said(values, kind, said):
    target = read_target(column(values), None)
    assert target.kind.name == kind
    assert said in target.notes[0]
    assert read_target(column(values), kind).notes == ()


@pytest.mark.parametrize("values", [[0, 1, 0], [0.5, 1.5, 2.0], ["a", "b", "a"], [True, False]])
def test_a_kind_that_is_plain_is_not_said(values):
    assert read_target(column(values), None).notes == ()


def test_text_that_means_numbers_is_regressed_and_said():
    prices = [f"${i}.5" for i in range(30)]
    target = read_target(column([*prices, "unknown"]), None)
    assert (target.kind.name, target.values[:2].tolist(), len(target.values)) == (
        "regression",
        [0.5, 1.5],
        30,
    )
    assert "read as numbers, without '$', 1 value ('unknown') counted as missing" in target.notes[0]
    with pytest.raises(DataError, match=r"but also 10 values \('x'\) that are none"):
        read_target(column([*prices, *["x"] * 10]), None)


def test_spaces_do_not_make_classes():
    target = read_target(column(["a", "a ", "b", "B"]), None)
    assert target.classes == ("B", "a", "b")
    assert [note[:20] for note in target.notes] == ["classes that differ ", "classes 'B' and 'b' "]


def test_large_identifiers_are_no_numbers_but_may_be_classes():
    values = np.repeat(10**18 + np.arange(30), 2)
    with pytest.raises(DataError, match=r"beyond 2\^53"):
        read_target(column(values), None)
    assert len(read_target(column(values), "classification").classes) == 30
