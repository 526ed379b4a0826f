"""The columns of a table as numbers that a network takes, fitted on the training rows alone."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lossforge.errors import DataError
from lossforge.tasks.assembly import Values, standardize
from lossforge.tasks.splits import Rows
from lossforge.tasks.table_columns import Columns

MOST_MARKS = 2 * 10**7
"""numbers that the categories of any table may become; a small file can ask for very many"""
MOST_MARKS_PER_CELL = 50
"""likewise, of a large table, for each of its cells"""


def encode_features(columns: Columns, train: Rows) -> Values:
    """Return [N, inputs]: standardized numbers, marks of missing ones, then categories.

    Args:
        columns: every row of the table, without its target.
        train: row numbers of the training split; medians, statistics and categories are theirs.

    Raises:
        DataError: there are no columns, or their categories would fill the memory.
    """
    if not (columns.numbers or columns.categories):
        raise DataError("the table has no column but its target; add features")
    return np.hstack([*_numbers(columns, train), *_categories(columns, train)])


def _numbers(columns: Columns, train: Rows) -> list[Values]:
    """Return standardized numbers and, of columns where training rows lack some, marks."""
    if not columns.numbers:
        return []
    values = np.stack(list(columns.numbers.values()), axis=1)
    missing = np.isnan(values)
    lacking = missing[train].any(axis=0)
    values[missing] = np.broadcast_to(_medians(values[train]), values.shape)[missing]
    return [standardize(values, train), missing[:, lacking].astype(np.float64)]


def _medians(known: Values) -> Values:
    """Return each column's median; 0 for a column without values."""
    empty = np.isnan(known).all(axis=0)
    return np.asarray(np.nanmedian(np.where(empty, 0.0, known), axis=0))


def _categories(columns: Columns, train: Rows) -> list[Values]:
    """Return, of each column, a mark for each category of the training rows; missing is one."""
    coded = [_codes(texts, train) for texts in columns.categories.values()]
    marks = sum(len(codes) * names for names, codes in coded)
    if marks > max(MOST_MARKS, MOST_MARKS_PER_CELL * sum(len(codes) for _, codes in coded)):
        raise DataError(
            f"the categories of {len(coded)} columns of text become {marks} numbers, too many for "
            "a table of its size; drop some of these columns"
        )
    # The last code is that of categories which the training rows lack.
    return [np.eye(names + 1, names)[codes] for names, codes in coded]


def _codes(texts: "pd.Series[str]", train: Rows) -> tuple[int, NDArray[np.intp]]:
    """Return how many categories there are in training, and each row's; theirs are sorted."""
    known = texts.iloc[train]
    names = sorted(known.dropna().unique())
    has_missing = bool(known.isna().any())
    count = len(names) + has_missing
    codes = pd.Index(names, dtype=object).get_indexer(pd.Index(texts.to_numpy(object)))
    codes = np.where(codes < 0, count, codes)
    if has_missing:
        codes = np.where(texts.isna(), len(names), codes)
    return count, codes.astype(np.intp)
