"""Each column is read as a person means it; what could be meant otherwise is said or refused."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import DataError, LossforgeError
from lossforge.tasks.table_columns import Columns, read_columns
from lossforge.tasks.table_options import TableOptions


def read(values, **options) -> Columns:
    return read_columns(pd.DataFrame({"a": values}), TableOptions(**options))


def ages(*others: object) -> list[object]:
    return [*map(str, range(18, 90)), *others]


def test_one_unknown_among_ages_is_missing_and_said():
    columns = read(ages("unknown"))
    assert columns.numbers["a"][:3].tolist() == [18, 19, 20]
    assert np.isnan(columns.numbers["a"][-1])
    (note,) = columns.notes
    assert "read as numbers: 1 value ('unknown') counted as missing; category=a" in note


@pytest.mark.parametrize(
    ("values", "expected", "said"),
    [
        (["$3", "$1,200.5", "-$7"], [3, 1200.5, -7], "without '$'"),
        (["1,5", "2", "3,25"], [1.5, 2, 3.25], "with decimal commas"),
        (["1.234,5", "7"], [1234.5, 7], "with decimal commas"),
        (["1,234,567", "7"], [1234567, 7], "read as numbers;"),
        (["1 234", "2 000 000"], [1234, 2e6], "read as numbers;"),
        (["45%", "5 %"], [45, 5], "without '%'"),
        (["0,512", "0,7"], [0.512, 0.7], "with decimal commas"),
        (["1e3", "n/a "], [1000, np.nan], "'n/a'"),
    ],
)
def test_numbers_in_other_forms_are_read_and_said(values, expected, said):
    columns = read(values)
    assert np.array_equal(columns.numbers["a"], expected, equal_nan=True)
    assert said in columns.notes[0]


def test_a_comma_that_may_mean_two_numbers_is_refused_until_it_is_decided():
    with pytest.raises(DataError, match=r"'1,234', which may be either of two numbers.*decimal="):
        read(["1,234", "2"])
    assert read(["1,234", "2"], decimal="point").numbers["a"].tolist() == [1234, 2]
    assert read(["1,234", "2"], decimal="comma").numbers["a"].tolist() == [1.234, 2]


def test_decimal_commas_beside_decimal_points_are_refused_until_they_are_decided():
    table = pd.DataFrame({"a": ["1,5", "2,5"], "b": [1.5, 2.5]})
    with pytest.raises(DataError, match="'a' has decimal commas and column 'b' decimal points"):
        read_columns(table, TableOptions())
    assert set(read_columns(table, TableOptions(decimal="comma")).numbers) == {"a", "b"}


def test_units_that_differ_are_refused():
    with pytest.raises(DataError, match="mixes units"):
        read(["$3", "€4", "$5"])


def test_few_numbers_with_another_text_are_categories_and_said():
    columns = read(["0", "1", "2", "3+"] * 5)
    assert list(columns.categories) == ["a"]
    assert "read as categories: no numbers are 5 values ('3+'); number=a" in columns.notes[0]
    columns = read(["0", "1", "2", "3+"] * 5, number=("a",))
    assert np.isnan(columns.numbers["a"]).sum() == 5


def test_numbers_with_many_other_texts_are_refused_until_they_are_decided():
    values = ages(*["high"] * 30)
    with pytest.raises(DataError, match=r"but also 30 values \('high'\) that are none; say number"):
        read(values)
    assert np.isnan(read(values, number=("a",)).numbers["a"]).sum() == 30
    assert list(read(values * 2, category=("a",)).categories) == ["a"]
    assert np.isnan(read(values, missing=("high",)).numbers["a"]).sum() == 30


@pytest.mark.parametrize("dtype", ["int64", "uint64", "Int64"])
def test_large_identifiers_are_refused(dtype):
    identifiers = pd.Series(10**18 + np.arange(30)).astype(dtype)
    with pytest.raises(DataError, match=r"beyond 2\^53, as identifiers do.*drop=a.*category=a"):
        read(identifiers)
    assert read(identifiers, category=("a",)).categories["a"].nunique() == 30


def test_a_column_that_numbers_the_rows_is_said():
    assert "numbers the rows; drop=a leaves it out" in read(np.arange(1, 31)).notes[0]
    assert read(np.arange(30) * 2).notes == []


def test_spaces_do_not_make_categories():
    columns = read(["a", "a ", "b", "\u00e9", "e\u0301"])
    assert columns.categories["a"].unique().tolist() == ["a", "b", "\u00e9"]
    assert "differ only by spaces" in columns.notes[0]
    assert "differ only in case ('A', 'a'); they stay apart" in read(["A", "a", "b"]).notes[0]


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (["2024-01-31", "2024-02-01", None], {}),
        (["2024-01-31T00:00:00+00:00", "2024-02-01T00:00:00+00:00", None], {}),
        (["31/01/2024", "01/02/2024", None], {}),
        (["31.01.2024", "01.02.2024", "unknown"], {}),
        (["01/31/2024", "02/01/2024", ""], {}),
        (["31 Jan 2024", "1 Feb 2024", None], {}),
        ([date(2024, 1, 31), date(2024, 2, 1), None], {}),
        (pd.to_datetime(["2024-01-31", "2024-02-01", None]), {}),
        (["02/01/2024", "03/01/2024", None], {"dates": "month-first"}),
        ([20240131, 20240201, None], {"date": ("a",)}),
    ],
)
def test_dates_become_numbers(values, options):
    columns = read(values, **options)
    assert list(columns.numbers) == [
        f"a ({part})"
        for part in ("day", "season sine", "season cosine", "weekday sine", "weekday cosine")
    ]
    days = columns.numbers["a (day)"]
    assert np.isnan(days[2])
    assert not np.isnan(days[:2]).any()
    if "dates" not in options:
        assert days[:2].tolist() == [8796, 8797]
    assert "read as dates (day, season, weekday); 1 without a date" in columns.notes[0]


def test_hours_become_numbers_where_they_vary():
    assert "a (hour sine)" in read(["2024-01-31 10:00", "2024-02-01 12:30"]).numbers


def test_dates_that_may_be_either_of_two_are_refused():
    with pytest.raises(DataError, match=r"'03/04/2024', which may be either.*dates=day-first"):
        read(["03/04/2024", "05/06/2024"])


def test_decimals_and_durations_are_numbers():
    assert read([Decimal("1.5"), Decimal("2"), None]).numbers["a"][:2].tolist() == [1.5, 2]
    assert read(pd.to_timedelta([1, 2], unit="s")).numbers["a"].tolist() == [1, 2]


@pytest.mark.parametrize("cell", [[1, 2], {"b": 1}, np.zeros(2)])
def test_cells_of_several_values_are_refused(cell):
    with pytest.raises(DataError, match=r"column 'a' holds a .* in a cell"):
        read(pd.Series([cell, "x"], dtype=object))


def test_all_columns_with_too_many_categories_are_named():
    names = [f"n{i}" for i in range(150)]
    table = pd.DataFrame({"name": names, "ticket": names, "b": 1.0})
    with pytest.raises(DataError, match=r"'name' \(150\), 'ticket' \(150\).*drop=name,drop=ticket"):
        read_columns(table, TableOptions())


CELLS = st.one_of(
    st.none(),
    st.text(max_size=8),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.sampled_from(["1,5", "$3", "1.234,5", "2024-01-31", "31/12/2024", "n/a", " x ", "1e400"]),
)


@given(st.lists(CELLS, min_size=1, max_size=40))
def test_any_text_is_read_or_refused_in_one_line(values):
    try:
        columns = read(pd.Series(values, dtype=object))
    except LossforgeError as error:
        columns, refusal = Columns(), str(error)
    else:
        refusal = ""
    assert "\n" not in refusal
    for numbers in columns.numbers.values():
        assert not np.isinf(numbers.astype(np.float32)).any()
