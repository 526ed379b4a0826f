"""The user's own table: ``csv:PATH:TARGET``, checked before anything is learned from it."""

import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pandas.errors import EmptyDataError, ParserError, ParserWarning

from lossforge.errors import DataError, unknown_name
from lossforge.tasks.assembly import assemble
from lossforge.tasks.splits import split_rows
from lossforge.tasks.table_features import check_features, encode_features
from lossforge.tasks.table_target import read_target
from lossforge.tasks.task import Kind, Task

PREFIX = "csv:"
FORM = "csv:PATH:TARGET"
KINDS: tuple[Kind, ...] = ("classification", "regression")


class TableSpec(NamedTuple):
    """What a name of the form ``csv:PATH:TARGET[:KIND]`` asks for."""

    path: str
    target: str
    kind: Kind | None


def load_csv(name: str, split_seed: int) -> Task:
    """Make a task of a comma-separated UTF-8 table with a header line.

    Numeric columns are standardized, their missing values filled with the median and marked in a
    column of their own. Other columns become one input per category. All statistics and categories
    come from the training rows; a category that they lack is all zeros elsewhere. Numbers that
    stand for categories or for nothing (a customer's number) cannot be told from others: write
    the former as text and leave the latter out.

    The target is regressed if it is numeric with fractions or with more than 20 distinct values,
    and classified otherwise; ``:classification`` or ``:regression`` at the end of the name decides
    it. Regression targets are standardized, too: an mse of 1 is what the mean scores.

    Args:
        name: ``csv:PATH:TARGET`` or ``csv:PATH:TARGET:KIND``. The path may contain colons.
        split_seed: decides which rows train, validate and test.

    Raises:
        DataError: the name is malformed, or the table missing, damaged or unfit.
    """
    spec = parse_name(name)
    table = read_table(spec.path)
    _check_target_exists(table, spec)
    target = read_target(table[spec.target], spec.kind)
    features = table.drop(columns=spec.target)
    check_features(features)
    parts = split_rows(target.strata, split_seed)
    inputs = encode_features(features, parts[0])
    return assemble(
        name,
        target.kind,
        inputs=inputs,
        targets=target.values,
        parts=parts,
        classes=target.classes,
    )


def parse_name(name: str) -> TableSpec:
    """Take ``csv:PATH:TARGET[:KIND]`` apart; the target stands behind the last colon.

    Examples:
        >>> parse_name("csv:C:/wines.csv:quality:regression")
        TableSpec(path='C:/wines.csv', target='quality', kind='regression')
    """
    rest, kind = name.removeprefix(PREFIX), None
    for known in KINDS:
        shorter = rest.removesuffix(f":{known}")
        if shorter != rest and ":" in shorter:
            rest, kind = shorter, known
    path, _, target = rest.rpartition(":")
    if not (path and target):
        raise DataError(f"{name!r} names no table; write {FORM} or {FORM}:{'|'.join(KINDS)}")
    return TableSpec(path, target, kind)


def read_table(path: str) -> pd.DataFrame:
    """Read a table whose rows all fit its header, or say what is wrong with it."""
    try:
        header, table = _read(Path(path).expanduser())
    except OSError as error:
        raise DataError(f"cannot read the table {path!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"the table {path!r} is not UTF-8 text; save it as such") from error
    except EmptyDataError as error:
        raise DataError(f"the table {path!r} is empty; bring a header line and rows") from error
    except ParserWarning as error:
        raise DataError(
            f"rows of the table {path!r} hold more values than its header has names; name every "
            "column"
        ) from error
    except ParserError as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"the table {path!r} is damaged: {reason}") from error
    _check_header(path, header)
    if table.empty:
        raise DataError(f"the table {path!r} has a header but no rows; add rows")
    return table


def _read(path: Path) -> tuple[list[str], pd.DataFrame]:
    with warnings.catch_warnings():
        # pandas drops the values of rows that are longer than the header, and only warns.
        warnings.simplefilter("error", ParserWarning)
        header = pd.read_csv(
            path, header=None, nrows=1, dtype=str, keep_default_na=False, skipinitialspace=True
        )
        table = pd.read_csv(
            path, index_col=False, low_memory=False, na_values=["?"], skipinitialspace=True
        )
    return header.iloc[0].tolist(), table


def _check_header(path: str, header: list[str]) -> None:
    unnamed = [str(number) for number, column in enumerate(header, 1) if not column.strip()]
    if unnamed:
        raise DataError(
            f"column {', '.join(unnamed)} of {path!r} has no name; name it, or drop it if it only "
            "numbers the rows"
        )
    twice = [column for column, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"the table {path!r} has two columns {twice[0]!r}; rename or drop one")


def _check_target_exists(table: pd.DataFrame, spec: TableSpec) -> None:
    columns = list(table.columns)
    if spec.target not in columns:
        lone = columns[0] if len(columns) == 1 else ""
        if ";" in lone or "\t" in lone:
            raise DataError(f"the table {spec.path!r} has no commas; save it comma-separated")
        raise DataError(str(unknown_name(f"column of {spec.path!r}", spec.target, columns)))
    if len(columns) == 1:
        raise DataError(f"the table {spec.path!r} has no column but its target; add features")
