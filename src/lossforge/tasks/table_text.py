"""Text that stands for numbers or dates, such as "$1,200.50" or "31.12.2024"."""

import re
import unicodedata
import warnings
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lossforge.errors import DataError
from lossforge.tasks.table_options import DateOrder, Decimal

MISSING_WORDS = frozenset(
    {
        *("", "-", "--", "---", ".", "..", "?", "*", "unknown", "missing", "not available"),
        *("n/a", "na", "n.a.", "n. a.", "nan", "null", "none", "nil", "not applicable"),
        *("not known", "undefined", "tbd", "#n/a", "#value!", "#ref!", "#div/0!"),
    }
)
"""texts, in lower case, that stand for a missing value among numbers or dates"""

UNITS = re.compile(r"[$€£¥₹₽%]")
LONGEST_NUMBER = 64
"""characters of a text that may be a number"""
NUMBERS = {
    "point": re.compile(r"([+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)?(?:\.\d*)?)(e[+-]?\d{1,3})?"),
    "comma": re.compile(r"([+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d+)?(?:,\d*)?)(e[+-]?\d{1,3})?"),
}
SPACED = re.compile(r"(?<=\d)[ '\u00a0\u202f\u2019](?=\d{3}(?!\d))")
"""signs between thousands that are no decimal signs"""


def tidy(text: str) -> str:
    """Return a text without spaces at its ends and with one form for each accented letter."""
    return unicodedata.normalize("NFC", text.strip())


def is_missing_word(text: str) -> bool:
    """Tell whether a text among numbers stands for no value."""
    return text.lower() in MISSING_WORDS


def read_number(text: str, decimal: Decimal) -> float | None:
    """Return the number that a text stands for, units and signs between thousands left out.

    Examples:
        >>> read_number("$1,200.50", "point"), read_number("1.200,5", "comma")
        (1200.5, 1200.5)
        >>> read_number("twelve", "point") is None
        True
    """
    if len(text) > LONGEST_NUMBER:
        return None
    bare = SPACED.sub("", UNITS.sub("", text, count=1).strip()).lower()
    bare = re.sub(r"^([+-])\s+", r"\1", bare)
    match = NUMBERS[decimal].fullmatch(bare)
    if match is None or not any(sign.isdigit() for sign in match[1]):
        return None
    thousands, point = (",", ".") if decimal == "point" else (".", ",")
    return float(match[1].replace(thousands, "").replace(point, ".") + (match[2] or ""))


@final
@dataclass(frozen=True)
class TextNumbers:
    """A column of text read as numbers.

    Attributes:
        values: [N] numbers; NaN where there is none.
        strays: distinct texts that are no numbers, the most frequent first, with their counts.
        units: signs such as "$" that were left out.
        decimal: "comma" where decimal commas decided the reading.
        share: of numbers among the values that are not missing.
        distinct: how many different numbers there are.
    """

    values: NDArray[np.float64]
    strays: tuple[tuple[str, int], ...]
    units: tuple[str, ...]
    decimal: Decimal
    share: float
    distinct: int

    @property
    def all_missing_words(self) -> bool:
        """Whether all that is no number says that a value is missing."""
        return all(is_missing_word(text) for text, _ in self.strays)


def read_numbers(column: "pd.Series[Any]", decimal: Decimal | None) -> TextNumbers:
    """Read text as numbers, as far as it can be.

    Args:
        column: of texts, tidied; missing values are NaN.
        decimal: the sign of fractions; None infers it.

    Raises:
        DataError: a text such as "1,234" may be either of two numbers.
    """
    codes, texts = pd.factorize(column)
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    words = [str(text) for text in texts]
    readings: dict[Decimal, list[float | None]] = {
        sign: [read_number(text, sign) for text in words]
        for sign in (("point", "comma") if decimal is None else (decimal,))
    }
    chosen = decimal or _decimal_of(str(column.name), words, counts, readings)
    found = readings[chosen]
    distinct = np.array([np.nan if value is None else value for value in found], dtype=np.float64)
    order = sorted(range(len(words)), key=lambda index: -counts[index])
    strays = tuple((words[i], int(counts[i])) for i in order if found[i] is None)
    known = [text for text, value in zip(words, found, strict=True) if value is not None]
    units = sorted({match[0] for text in known if (match := UNITS.search(text))})
    known_rows = int(counts.sum())
    stray_rows = sum(count for _, count in strays)
    return TextNumbers(
        values=np.append(distinct, np.nan)[codes],
        strays=strays,
        units=tuple(units),
        decimal=chosen,
        share=1 - stray_rows / known_rows if known_rows else 0.0,
        distinct=len(set(distinct[~np.isnan(distinct)].tolist())),
    )


def _decimal_of(
    name: str,
    words: list[str],
    counts: NDArray[np.int64],
    readings: dict[Decimal, list[float | None]],
) -> Decimal:
    """Return the decimal sign under which more values are numbers."""
    point, comma = readings["point"], readings["comma"]
    read = [
        sum(int(n) for n, value in zip(counts, found, strict=True) if value is not None)
        for found in (point, comma)
    ]
    if read[0] != read[1]:
        return "point" if read[0] > read[1] else "comma"
    unlike = [w for w, a, b in zip(words, point, comma, strict=True) if a != b]
    if unlike and read[0] >= counts.sum() / 2:
        raise DataError(
            f"column {name!r} holds {unlike[0]!r}, which may be either of two numbers; say which: "
            "decimal=point or decimal=comma"
        )
    return "point"


DATES = {
    "ISO8601": None,
    "%m/%d/%Y": "month-first",
    "%d/%m/%Y": "day-first",
    "%m-%d-%Y": "month-first",
    "%d-%m-%Y": "day-first",
    "%d.%m.%Y": None,
    "%Y/%m/%d": None,
    "%d %b %Y": None,
    "%d %B %Y": None,
    "%b %d, %Y": None,
    "%B %d, %Y": None,
    "%d-%b-%Y": None,
}
"""forms of dates, and what those say that could be either of two"""
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
SAMPLE = 30
LEAST_DATES = 0.9


def read_dates(
    column: "pd.Series[Any]", order: DateOrder | None, *, asked: bool
) -> "pd.Series[Any] | None":
    """Return texts as dates, NaT for words that stand for no value; None where they are no dates.

    Args:
        column: of texts, tidied.
        order: whether the day stands before the month, where only that tells.
        asked: whether the user says that these are dates; then whatever is none counts as missing.

    Raises:
        DataError: a text may be either of two dates.
    """
    known = column.dropna()
    known = known[~known.str.lower().isin(MISSING_WORDS)]
    sample = known.drop_duplicates()
    if not len(sample) or not (asked or sample.head(SAMPLE).str.contains(r"\d").all()):
        return None
    least = 0.5 if asked else LEAST_DATES
    fitting = {}
    for form, needs in DATES.items():
        if order is not None and needs not in (None, order):
            continue
        for clock in CLOCKS if form != "ISO8601" else ("",):
            if _parse(sample.head(SAMPLE), form + clock).notna().mean() < least:
                continue
            dates = _parse(known, form + clock)
            if dates.notna().mean() >= least:
                fitting[form] = dates
    if not fitting:
        return None
    best = max(dates.notna().mean() for dates in fitting.values())
    first, *others = [dates for dates in fitting.values() if dates.notna().mean() == best]
    for other in others:
        if not first.equals(other):
            text = known[first != other].iloc[0]
            raise DataError(
                f"column {column.name!r} holds {text!r}, which may be either of two dates; say "
                "which: dates=day-first or dates=month-first"
            )
    return first.reindex(column.index)


def _parse(texts: "pd.Series[Any]", form: str) -> "pd.Series[Any]":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parsed = pd.to_datetime(texts, format=form, errors="coerce", utc=True)
        except (ValueError, OverflowError, TypeError):
            return pd.Series(pd.NaT, index=texts.index)
    return parsed
