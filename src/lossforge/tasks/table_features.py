"""The columns of a table as numbers that a network takes, fitted on the training rows alone."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from lossforge.errors import DataError
from lossforge.tasks.assembly import Values, standardize
from lossforge.tasks.splits import Rows

FLOAT32_MAX = float(np.finfo(np.float32).max)
MOST_CATEGORIES = 1000
MOST_CATEGORIES_IF_SCARCE = 100


def is_numeric(column: "pd.Series[Any]") -> bool:
    """Tell whether a column holds numbers; true and false are categories."""
    types = pd.api.types
    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)


def check_features(features: pd.DataFrame) -> None:
    """Refuse columns that no network can learn from as they are.

    Raises:
        DataError: numbers that are infinite (or beyond float32), or text with a category for
            more than every second row (over 100 of them) or with more than 1000 categories.
    """
    for name, column in features.items():
        if is_numeric(column):
            if (column.abs() > FLOAT32_MAX).any():
                raise DataError(f"column {name!r} holds infinite values; mend or drop them")
        elif _too_many(column.nunique(), len(column)):
            raise DataError(
                f"column {name!r} is text with {column.nunique()} distinct values in "
                f"{len(column)} rows{_stray_text(column)}; drop it, mend it or group its values"
            )


def encode_features(features: pd.DataFrame, train: Rows) -> Values:
    """Return [N, inputs]: standardized numbers, marks of missing ones, then categories.

    Args:
        features: every row of the table, without its target.
        train: row numbers of the training split; medians, statistics and categories are theirs.
    """
    numeric = [name for name, column in features.items() if is_numeric(column)]
    others = [name for name in features.columns if name not in numeric]
    # Missing categories stay NaN, of which the encoder makes a category of its own.
    text = features[others].map(str, na_action="ignore").astype(object)
    table = pd.concat([features[numeric].astype(np.float64), text], axis=1)
    encoder = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median", keep_empty_features=True), numeric),
            ("missing", MissingIndicator(error_on_new=False), numeric),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), others),
        ]
    )
    encoded = encoder.fit(table.iloc[train]).transform(table)
    numbers, marks = np.split(encoded, [len(numeric)], axis=1)
    return np.hstack([standardize(numbers, train), marks])


def _too_many(categories: int, rows: int) -> bool:
    scarce = categories > MOST_CATEGORIES_IF_SCARCE and categories > rows / 2
    return scarce or categories > MOST_CATEGORIES


def _stray_text(column: "pd.Series[Any]") -> str:
    known = column.dropna()
    strays = known[pd.to_numeric(known, errors="coerce").isna()]
    mostly_numbers = len(strays) < len(known) / 2
    return f" (numbers but for {str(strays.iloc[0])!r} and such)" if mostly_numbers else ""
