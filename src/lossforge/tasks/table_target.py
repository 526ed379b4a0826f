"""The target column of a table: what kind of task it makes, and its values."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lossforge.errors import DataError
from lossforge.tasks.kinds import Classification, Kind, Regression, as_kind
from lossforge.tasks.splits import quantile_bins
from lossforge.tasks.table_columns import (
    FEW_NUMBERS,
    FLOAT32_MAX,
    LEAST_NUMBERS,
    alike,
    describe_strays,
    exact_wholes,
    is_numeric,
    merged,
    numbers_of,
    shorten,
    texts_of,
)
from lossforge.tasks.table_options import TableOptions
from lossforge.tasks.table_text import TextNumbers, read_numbers

MOST_CLASSES_BY_DEFAULT = 20
BY_DEFAULT = TableOptions()


@final
@dataclass(frozen=True, eq=False)
class Target:
    """A target column.

    Args:
        kind: what it makes of the task.
        values: [N] labels from 0, or [N] numbers.
        classes: names of the labels; none for regression.
        kept: [rows] whether a row has a target; the values are those of the rows that have one.
        notes: what a person should know about how it was read.
    """

    kind: Kind
    values: NDArray[Any]
    classes: tuple[str, ...]
    kept: NDArray[np.bool_]
    notes: tuple[str, ...] = ()

    @property
    def strata(self) -> NDArray[Any]:
        """What a split is stratified by: [N] names of classes, or bins of the numbers."""
        return np.array(self.classes)[self.values] if self.classes else quantile_bins(self.values)


def read_target(
    column: "pd.Series[Any]", kind: Kind | str | None, options: TableOptions = BY_DEFAULT
) -> Target:
    """Read the target of a table; `kind` overrides what its values suggest.

    Rows without a target are left out.

    Raises:
        DataError: values are infinite, all equal, or text where numbers are needed.
    """
    notes: list[str] = []
    kind = None if kind is None else as_kind(kind)
    column = _as_read(column, kind, options, notes)
    kept = column.notna().to_numpy(dtype=bool)
    if not kept.all():
        notes.append(_missing_rows(str(column.name), kept))
        column = column[kept]
    _check_varied(column)
    numeric = is_numeric(column)
    if numeric:
        _check_finite(column)
    if kind is None:
        kind = Regression() if numeric and _looks_continuous(column) else Classification()
        notes += _announce(column, kind) if numeric else []
    if kind.predicts_probabilities:
        labels, classes = _classes(column)
        if not numeric and (pair := alike(list(classes))) is not None:
            notes.append(
                f"classes {pair[0]!r} and {pair[1]!r} differ only in case; they stay apart"
            )
        return Target(Classification(), labels, classes, kept, tuple(notes))
    if not numeric:
        raise DataError(
            f"the target {column.name!r} is not numeric and cannot be regressed; "
            "mend its values, or ask for classification"
        )
    if not exact_wholes(column):
        raise DataError(
            f"the target {column.name!r} holds whole numbers beyond 2^53, as identifiers do; "
            "choose another target, or scale it"
        )
    return Target(Regression(), numbers_of(column), (), kept, tuple(notes))


def _as_read(
    column: "pd.Series[Any]", kind: Kind | None, options: TableOptions, notes: list[str]
) -> "pd.Series[Any]":
    """Return the column as numbers where its text is meant as such, and else as tidied text."""
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise DataError(
            f"the target {column.name!r} holds dates or durations; make numbers or classes of them"
        )
    name = str(column.name)
    if name in options.category or is_numeric(column) or pd.api.types.is_bool_dtype(column):
        return texts_of(column) if name in options.category else column
    texts = texts_of(column)
    if options.missing:
        texts = texts.mask(texts.isin(options.missing))
    found = read_numbers(texts, options.decimal) if texts.notna().any() else None
    if found is not None and (name in options.number or _is_numeric(name, found, kind)):
        told = [f"without {found.units[0]!r}"] if found.units else []
        told += ["with decimal commas"] if found.decimal == "comma" else []
        told += [f"{describe_strays(found)} counted as missing"] if found.strays else []
        if told:
            notes.append(
                f"the target {name!r} is read as numbers, {', '.join(told)}; category={name} "
                "reads it as text"
            )
        return pd.Series(found.values, index=column.index, name=column.name)
    if (text := merged(column, texts)) is not None:
        notes.append(f"classes that differ only by spaces, such as {shorten(text)!r}, are one")
    return texts


def _is_numeric(name: str, found: TextNumbers, kind: Kind | None) -> bool:
    """Tell whether a target of text is meant as numbers."""
    if found.share < 0.5 or (kind is not None and kind.predicts_probabilities):
        return False
    if len(found.units) > 1:
        raise DataError(f"the target {name!r} mixes units ({' and '.join(found.units)}); mend it")
    if found.all_missing_words:
        return True
    if found.distinct <= FEW_NUMBERS:
        return False
    if found.share < LEAST_NUMBERS:
        raise DataError(
            f"the target {name!r} holds numbers, but also {describe_strays(found)} that are none; "
            f"say number={name} (their rows are left out) or category={name}"
        )
    return True


def _missing_rows(name: str, kept: NDArray[np.bool_]) -> str:
    rows = [str(row) for row in np.flatnonzero(~kept) + 1]
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    which = f"row{'s' if len(rows) > 1 else ''} {', '.join(rows[:3])}{more} below the header"
    return f"{len(rows)} of {len(kept)} rows have no target {name!r} and are left out: {which}"


def _check_varied(column: "pd.Series[Any]") -> None:
    if column.nunique() == 0:
        raise DataError(f"the target {column.name!r} has no value in any row; choose another")
    if column.nunique() == 1:
        raise DataError(
            f"the target {column.name!r} is {str(column.iloc[0])!r} in every row: there is "
            "nothing to learn; choose another target or add rows of another class"
        )


def _announce(column: "pd.Series[Any]", kind: Kind) -> list[str]:
    """Say what was decided where a person may have meant the other."""
    values = numbers_of(column)
    distinct = len(np.unique(values))
    if (values % 1 != 0).any() or distinct == 2:
        return []
    span = f"{distinct} whole numbers from {values.min():g} to {values.max():g}"
    if kind.predicts_probabilities:
        return [
            f"the target {column.name!r} is classified: it holds {span}; "
            f"{column.name}:regression in the task's name regresses it"
        ]
    return [
        f"the target {column.name!r} is regressed: it holds {span}; "
        f"{column.name}:classification in the task's name classifies it"
    ]


def _looks_continuous(column: "pd.Series[Any]") -> bool:
    fractions = numbers_of(column) % 1 != 0
    return bool(fractions.any()) or column.nunique() > MOST_CLASSES_BY_DEFAULT


def _check_finite(column: "pd.Series[Any]") -> None:
    infinite = np.abs(numbers_of(column)) > FLOAT32_MAX
    if infinite.any():
        rows = [str(row + 1) for row in column.index[infinite][:3]]
        raise DataError(
            f"the target {column.name!r} is infinite in row {', '.join(rows)} below the header; "
            "mend or drop these rows"
        )


def _classes(column: "pd.Series[Any]") -> tuple[NDArray[np.int64], tuple[str, ...]]:
    values: NDArray[Any]
    if is_numeric(column):
        exact = exact_wholes(column)
        values = numbers_of(column) if exact else texts_of(column).to_numpy(object)
    else:
        values = texts_of(column).to_numpy(object)
    names, labels = np.unique(values, return_inverse=True)
    return labels.astype(np.int64), tuple(_class_name(name) for name in names)


def _class_name(value: float | str) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
