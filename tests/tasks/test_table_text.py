"""Text read as numbers and dates: what is written comes back, what may be two things is told."""

import math
from datetime import date

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossforge.errors import DataError
from lossforge.tasks.table_text import (
    MISSING_WORDS,
    is_missing_word,
    read_dates,
    read_number,
    read_numbers,
    tidy,
)

numbers = st.decimals(-(10**9), 10**9, places=2)


@given(numbers)
@settings(max_examples=40)
def test_a_number_comes_back_under_either_sign(value):
    point = f"{value:,.2f}"
    comma = point.translate(str.maketrans(",.", ".,"))
    spaced = point.replace(",", "\u202f")
    assert read_number(point, "point") == float(value)
    assert read_number(comma, "comma") == float(value)
    assert read_number(spaced, "point") == float(value)
    assert read_number(f"${point}", "point") == float(value) or value < 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e3", 1000.0),
        ("- 5", -5.0),
        ("7%", 7.0),
        ("12,34", None),
        ("", None),
        ("e3", None),
        (".", None),
        ("1 2", None),
        ("9" * 65, None),
    ],
)
def test_forms_of_numbers(text, expected):
    assert read_number(text, "point") == expected


def test_texts_are_tidied():
    assert tidy(" e\u0301 ") == "\u00e9"
    assert all(is_missing_word(word.upper()) for word in MISSING_WORDS)


@given(st.lists(st.sampled_from(["1.5", "2", "n/a", "three", None]), min_size=1, max_size=12))
@settings(max_examples=40)
def test_a_column_is_its_numbers_and_the_rest_is_counted(texts):
    found = read_numbers(pd.Series(texts, name="price", dtype=object), "point")
    known = {"1.5": 1.5, "2": 2.0}
    for text, value in zip(texts, found.values, strict=True):
        assert value == known[text] if text in known else math.isnan(value)
    assert dict(found.strays) == {t: texts.count(t) for t in {"n/a", "three"} & set(texts)}
    assert found.distinct == len(set(known) & set(texts))
    assert found.all_missing_words == ("three" not in texts)


def test_the_decimal_sign_is_inferred_or_asked_for():
    assert read_numbers(pd.Series(["1,5", "2,25"]), None).decimal == "comma"
    assert read_numbers(pd.Series(["1.5", "2.25"]), None).decimal == "point"
    with pytest.raises(DataError, match="'1,234', which may be either of two numbers"):
        read_numbers(pd.Series(["1,234", "5"], name="price"), None)


@given(st.lists(st.dates(date(1980, 1, 1), date(2090, 1, 1)), min_size=1, max_size=6))
@settings(max_examples=6)
def test_dates_come_back(days):
    for form, order in (("%Y-%m-%d", None), ("%d.%m.%Y", None), ("%d/%m/%Y", "day-first")):
        texts = pd.Series([day.strftime(form) for day in days])
        found = read_dates(texts, order, asked=False)
        assert [each.date() for each in found] == days


def test_dates_that_may_be_two_are_told():
    with pytest.raises(DataError, match="may be either of two dates"):
        read_dates(pd.Series(["01/02/2024", "03/04/2024"], name="day"), None, asked=False)
    first = read_dates(pd.Series(["01/02/2024"]), "month-first", asked=False)
    assert first.iloc[0].month == 1


def test_words_are_no_dates():
    assert read_dates(pd.Series(["red", "blue"]), None, asked=False) is None
    assert read_dates(pd.Series(["n/a"]), None, asked=True) is None
