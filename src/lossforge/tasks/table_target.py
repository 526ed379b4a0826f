"""The target column of a table: what kind of task it makes, and its values."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lossforge.errors import DataError
from lossforge.tasks.splits import quantile_bins
from lossforge.tasks.table_features import FLOAT32_MAX, is_numeric
from lossforge.tasks.task import Kind

MOST_CLASSES_BY_DEFAULT = 20


@final
@dataclass(frozen=True, eq=False)
class Target:
    """A target column.

    Args:
        kind: what it makes of the task.
        values: [N] labels from 0, or [N] numbers.
        classes: names of the labels; none for regression.
    """

    kind: Kind
    values: NDArray[Any]
    classes: tuple[str, ...] = ()

    @property
    def strata(self) -> NDArray[Any]:
        """What a split is stratified by: [N] names of classes, or bins of the numbers."""
        return np.array(self.classes)[self.values] if self.classes else quantile_bins(self.values)


def read_target(column: "pd.Series[Any]", kind: Kind | None) -> Target:
    """Read the target of a table; `kind` overrides what its values suggest.

    Raises:
        DataError: values are missing or infinite, all equal, or text where numbers are needed.
    """
    _check_complete(column)
    numeric = is_numeric(column)
    if column.nunique() == 1:
        raise DataError(
            f"the target {column.name!r} is {str(column.iloc[0])!r} in every row: there is "
            "nothing to learn; choose another target or add rows of another class"
        )
    kind = kind or ("regression" if numeric and _looks_continuous(column) else "classification")
    if kind == "classification":
        return _classes(column)
    if not numeric:
        raise DataError(
            f"the target {column.name!r} is not numeric and cannot be regressed; "
            "mend its values, or ask for classification"
        )
    return Target("regression", column.to_numpy(np.float64))


def _check_complete(column: "pd.Series[Any]") -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"the target {column.name!r} has no value (empty, NA, NaN, None or ?) in "
            f"{_some_rows(missing)}; fill in or drop these rows"
        )
    if is_numeric(column):
        infinite = np.abs(column.to_numpy(np.float64)) > FLOAT32_MAX
        if infinite.any():
            raise DataError(
                f"the target {column.name!r} is infinite in {_some_rows(infinite)}; "
                "mend or drop these rows"
            )


def _some_rows(wrong: NDArray[np.bool_]) -> str:
    rows = [str(row) for row in np.flatnonzero(wrong) + 1]
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(rows[:3])}{more} below the header"


def _looks_continuous(column: "pd.Series[Any]") -> bool:
    fractions = column.to_numpy(np.float64) % 1 != 0
    return bool(fractions.any()) or column.nunique() > MOST_CLASSES_BY_DEFAULT


def _classes(column: "pd.Series[Any]") -> Target:
    values = column.to_numpy(np.float64) if is_numeric(column) else column.map(str).to_numpy(object)
    names, labels = np.unique(values, return_inverse=True)
    return Target("classification", labels, tuple(_class_name(name) for name in names))


def _class_name(value: float | str) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
