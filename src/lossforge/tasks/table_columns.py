"""What each column of a table is: numbers, dates or categories. What is inferred is said."""

import decimal
import numbers
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lossforge.errors import DataError
from lossforge.tasks.table_options import TableOptions
from lossforge.tasks.table_text import TextNumbers, read_dates, read_numbers, tidy

FLOAT32_MAX = float(np.finfo(np.float32).max)
EXACT = 2.0**53
"""whole numbers up to which float64 holds each one"""
MOST_CATEGORIES = 1000
MOST_CATEGORIES_IF_SCARCE = 100
FEW_NUMBERS = 20
"""distinct numbers up to which a column with other texts, such as "3+", holds categories"""
LEAST_NUMBERS = 0.9
"""share of numbers from which on the other texts of a column count as missing"""
SHOWN = 3
"""names that a message lists"""
YEAR = 365.25


def is_numeric(column: "pd.Series[Any]") -> bool:
    """Tell whether a column holds numbers; true and false are categories."""
    types = pd.api.types
    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)


@final
@dataclass
class Columns:
    """The columns of a table as they are understood.

    Attributes:
        numbers: names of columns of numbers, and their values [N]; NaN where one is missing.
        categories: names of columns of text, and their values [N]; NaN where one is missing.
        notes: what a person should know about how the columns were read.
    """

    numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    categories: dict[str, "pd.Series[Any]"] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_columns(features: pd.DataFrame, options: TableOptions) -> Columns:
    """Decide what each column of a table is.

    Raises:
        DataError: a column can be understood in two ways, or no network can learn from it.
    """
    reader = _Reader(options)
    for name, column in features.items():
        reader.read(str(name), column)
    reader.finish(len(features))
    return reader.columns


def numbers_of(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """Return a numeric column as float64; NaN where a value is missing."""
    return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan))


def texts_of(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a column as tidied texts; NaN where a value is missing.

    Raises:
        DataError: a value is no single value, such as a list.
    """
    if column.dtype == object:  # where 1 and True, which are equal, may both stand
        _check_single_values(column)
        known = column.map(_as_text, na_action="ignore").astype(object)
    else:
        known = column
    codes, values = pd.factorize(known)
    texts = np.array([tidy(_as_text(value)) for value in values], dtype=object)
    texts = np.append(np.where(texts == "", np.nan, texts), np.array([np.nan], dtype=object))
    return pd.Series(texts[codes], index=column.index, name=column.name, dtype=object)


def exact_wholes(column: "pd.Series[Any]") -> bool:
    """Tell whether float64 can hold every number of a column without loss of digits."""
    return not (
        pd.api.types.is_integer_dtype(column)
        and bool((column > EXACT).any() or (column < -EXACT).any())
    )


def merged(column: "pd.Series[Any]", texts: "pd.Series[Any]") -> str | None:
    """Return one of the texts that were distinct only by spaces or by how letters are encoded."""
    before = pd.Series(column.dropna().unique())
    strings = before[[isinstance(value, str) for value in before]]
    pairs = Counter(tidy(text) for text in strings)
    return next((text for text, count in pairs.items() if count > 1), None)


def alike(texts: "list[str]") -> tuple[str, str] | None:
    """Return two texts that differ only in case; None where there are none."""
    seen: dict[str, str] = {}
    for text in texts:
        other = seen.setdefault(text.casefold(), text)
        if other != text:
            return other, text
    return None


def describe_strays(found: TextNumbers) -> str:
    """Return how many values are no numbers, and which."""
    rows = sum(count for _, count in found.strays)
    shown = ", ".join(repr(shorten(text)) for text, _ in found.strays[:SHOWN])
    more = ", ..." if len(found.strays) > SHOWN else ""
    return f"{rows} value{'s' if rows > 1 else ''} ({shown}{more})"


def shorten(text: str, longest: int = 40) -> str:
    """Return a text, cut where it is long."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


@final
class _Reader:
    """Reads columns one after the other."""

    def __init__(self, options: TableOptions):
        self.options, self.columns = options, Columns()
        self._with_points: list[str] = []
        self._with_commas: list[str] = []
        self._too_many: list[tuple[str, int]] = []

    def read(self, name: str, column: "pd.Series[Any]") -> None:
        """Read a column."""
        types = pd.api.types
        if name in self.options.category:
            self._category(name, column, texts_of(column))
        elif types.is_complex_dtype(column):
            raise DataError(f"column {name!r} holds complex numbers; split or drop them")
        elif types.is_timedelta64_dtype(column):
            seconds = column.dt.total_seconds()
            self._number(name, numbers_of(seconds), f"column {name!r}: durations, in seconds")
        elif types.is_datetime64_any_dtype(column):
            self._dates(name, column)
        elif is_numeric(column):
            self._numeric(name, column)
        elif types.is_bool_dtype(column):
            self.columns.categories[name] = texts_of(column)
        else:
            self._text(name, column)

    def finish(self, rows: int) -> None:
        """Refuse what only all columns together show."""
        if self._with_commas and self._with_points and self.options.decimal is None:
            raise DataError(
                f"column {self._with_commas[0]!r} has decimal commas and column "
                f"{self._with_points[0]!r} decimal points; say which is right: decimal=comma or "
                "decimal=point"
            )
        if self._too_many:
            names = [name for name, _ in self._too_many]
            listed = ", ".join(f"{shorten(n)!r} ({count})" for n, count in self._too_many[:5])
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            remedy = ",".join(f"drop={shorten(name)}" for name in names[:5])
            column, has = ("columns", "have") if len(names) > 1 else ("column", "has")
            raise DataError(
                f"{column} of text {has} too many distinct values for {rows} rows: {listed}{more}; "
                f"leave out what names or describes rows ({remedy}), or group its values"
            )

    def _numeric(self, name: str, column: "pd.Series[Any]") -> None:
        if name in self.options.date:
            return self._text(name, column)
        if not exact_wholes(column):
            raise DataError(
                f"column {name!r} holds whole numbers beyond 2^53, as identifiers do, which lose "
                f"digits as numbers; leave it out (drop={name}) or read it as text "
                f"(category={name})"
            )
        values = numbers_of(column)
        known = values[~np.isnan(values)]
        _finite(name, known)
        if pd.api.types.is_float_dtype(column) and (known % 1 != 0).any():
            self._with_points.append(name)
        note = None
        if _numbers_the_rows(known, len(values)):
            note = f"column {name!r} numbers the rows; drop={name} leaves it out"
        elif _looks_like_dates(known):
            note = (
                f"column {name!r} may hold dates such as 20240131; date={name} reads them as such"
            )
        self._number(name, values, note)
        return None

    def _number(self, name: str, values: NDArray[np.float64], note: str | None) -> None:
        self.columns.numbers[name] = _finite(name, values)
        if note is not None:
            self.columns.notes.append(note)

    def _text(self, name: str, column: "pd.Series[Any]") -> None:
        texts = texts_of(column)
        if self.options.missing:
            texts = texts.mask(texts.isin(self.options.missing))
        if name in self.options.date:
            dates = read_dates(texts, self.options.dates, asked=True)
            if dates is None:
                raise DataError(f"column {name!r} holds no dates that are known; leave out date=")
            return self._dates(name, dates)
        found = read_numbers(texts, self.options.decimal)
        if name in self.options.number or self._is_numeric(name, found):
            return self._text_numbers(name, found)
        if found.share < 0.5:
            dates = read_dates(texts, self.options.dates, asked=False)
            if dates is not None:
                return self._dates(name, dates)
        self._category(name, column, texts)
        return None

    def _is_numeric(self, name: str, found: TextNumbers) -> bool:
        """Tell whether a column of text is meant as numbers."""
        if found.share < 0.5:
            return False
        if len(found.units) > 1:
            raise DataError(
                f"column {name!r} mixes units ({' and '.join(found.units)}); mend it, leave it out "
                f"(drop={name}) or read it as text (category={name})"
            )
        if found.all_missing_words:
            return True
        if found.distinct <= FEW_NUMBERS:
            self.columns.notes.append(
                f"column {name!r} is read as categories: no numbers are "
                f"{describe_strays(found)}; number={name} reads it as numbers"
            )
            return False
        if found.share < LEAST_NUMBERS:
            raise DataError(
                f"column {name!r} holds numbers, but also {describe_strays(found)} that are none; "
                f"say number={name} (they count as missing), category={name} or drop={name}"
            )
        return True

    def _text_numbers(self, name: str, found: TextNumbers) -> None:
        told = []
        if found.units:
            told.append(f"without {found.units[0]!r}")
        if found.decimal == "comma":
            told.append("with decimal commas")
            self._with_commas.append(name)
        if found.strays:
            told.append(f"{describe_strays(found)} counted as missing")
        how = f": {', '.join(told)}" if told else ""
        self._number(
            name,
            found.values,
            f"column {name!r} is read as numbers{how}; category={name} reads it as text",
        )

    def _dates(self, name: str, dates: "pd.Series[Any]") -> None:
        for part, values in _date_numbers(dates).items():
            self.columns.numbers[f"{name} ({part})"] = values
        parts = ", ".join(dict.fromkeys(part.split()[0] for part in _date_numbers(dates)))
        missing = int(dates.isna().sum())
        without = f"; {missing} without a date" if missing else ""
        self.columns.notes.append(
            f"column {name!r} is read as dates ({parts}){without}; category={name} reads it as text"
        )

    def _category(self, name: str, column: "pd.Series[Any]", texts: "pd.Series[Any]") -> None:
        known = [str(text) for text in texts.dropna().unique()]
        scarce = len(known) > MOST_CATEGORIES_IF_SCARCE and len(known) > len(texts) / 2
        if scarce or len(known) > MOST_CATEGORIES:
            self._too_many.append((name, len(known)))
            return
        if (pair := alike(known)) is not None:
            self.columns.notes.append(
                f"column {name!r} has categories that differ only in case ({pair[0]!r}, "
                f"{pair[1]!r}); they stay apart"
            )
        if (text := merged(column, texts)) is not None:
            self.columns.notes.append(
                f"column {name!r} has categories that differ only by spaces, such as "
                f"{shorten(text)!r}; they are one"
            )
        self.columns.categories[name] = texts


def _date_numbers(dates: "pd.Series[Any]") -> dict[str, NDArray[np.float64]]:
    """Return a column of dates as numbers that a network can learn from.

    The day counts from 2000; season, weekday and hour are a sine and a cosine each, so that the
    last and the first are neighbors.
    """
    stamps = pd.to_datetime(dates, utc=True)
    days = (stamps - pd.Timestamp("2000-01-01", tz="UTC")) / pd.Timedelta(days=1)
    found = {"day": numbers_of(days)}
    day = found["day"]
    cycles = {"season": day / YEAR, "weekday": np.floor(day) / 7}
    clock = day % 1
    if len(np.unique(clock[~np.isnan(clock)])) > 1:
        cycles["hour"] = clock
    for name, turns in cycles.items():
        angles = 2 * np.pi * (turns % 1)
        found[f"{name} sine"], found[f"{name} cosine"] = np.sin(angles), np.cos(angles)
    return found


def _finite(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if (np.abs(values) > FLOAT32_MAX).any():
        raise DataError(f"column {name!r} holds infinite values; mend or drop them")
    return values


def _numbers_the_rows(known: NDArray[np.float64], rows: int) -> bool:
    """Tell whether a column holds each of some consecutive whole numbers once."""
    return bool(
        len(known) == rows > FEW_NUMBERS
        and np.ptp(known) == rows - 1
        and (known % 1 == 0).all()
        and len(np.unique(known)) == rows
    )


def _looks_like_dates(known: NDArray[np.float64]) -> bool:
    if len(known) == 0 or known.min() < 19000101 or known.max() > 21001231:
        return False
    months, days = known // 100 % 100, known % 100
    return bool(((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all())


def _check_single_values(column: "pd.Series[Any]") -> None:
    single = (str, bytes, numbers.Number, decimal.Decimal, date, datetime)
    for value in column:
        if not isinstance(value, single) and not pd.api.types.is_scalar(value):
            raise DataError(
                f"column {column.name!r} holds a {type(value).__name__} in a cell; give it single "
                "values, or drop it"
            )


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return str(int(value))
    return str(value)
