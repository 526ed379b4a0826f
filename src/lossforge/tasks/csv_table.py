"""The user's own table: ``csv:PATH:TARGET``, checked before anything is learned from it."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lossforge.errors import DataError, unknown_name
from lossforge.tasks.assembly import assemble
from lossforge.tasks.kinds import Classification, Kind, Regression
from lossforge.tasks.splits import Rows, deal
from lossforge.tasks.table_columns import is_numeric, numbers_of, read_columns, texts_of
from lossforge.tasks.table_features import encode_features
from lossforge.tasks.table_files import read_table
from lossforge.tasks.table_options import (
    NAMES,
    TableOptions,
    check_columns,
    looks_like_options,
    parse_options,
)
from lossforge.tasks.table_target import Target, read_target
from lossforge.tasks.table_text import read_dates, read_numbers
from lossforge.tasks.task import Task

PREFIX = "csv:"
FORM = "csv:PATH:TARGET"
KINDS = (Classification.name, Regression.name)
"""what a target of one column can be"""


class TableSpec(NamedTuple):
    """What a name of the form ``csv:PATH:TARGET[:KIND][:OPTION=VALUE,...]`` asks for."""

    path: str
    target: str
    kind: str | None
    options: TableOptions = TableOptions()


def load_csv(name: str, split_seed: int, folder: Path | None = None) -> Task:
    """Make a task of a table with a header line: CSV in any variant, compressed or not, or Parquet.

    Numeric columns are standardized, their missing values filled with the median and marked in a
    column of their own. Dates become the day, the season, the weekday and, where it varies, the
    hour. Other columns become one input per category. All statistics and categories come from the
    training rows; a category that they lack is all zeros elsewhere. Numbers that stand for
    categories or for nothing (a customer's number) cannot be told from others: name the former by
    ``category=COLUMN`` and the latter by ``id=COLUMN``.

    The target is regressed if it is numeric with fractions or with more than 20 distinct values,
    and classified otherwise; ``:classification`` or ``:regression`` at the end of the name decides
    it. Regression targets are standardized, too: an mse of 1 is what the mean scores. Rows without
    a target are left out.

    What was inferred and could be meant otherwise is in the task's notes.

    Args:
        name: ``csv:PATH:TARGET``, ``csv:PATH:TARGET:KIND``, or either with
            ``:OPTION=VALUE,OPTION=VALUE`` behind it; `TableOptions` has the options. The path may
            contain colons.
        split_seed: decides which rows train, validate and test.
        folder: that a relative path begins from; by default the current one.

    Raises:
        DataError: the name is malformed, or the table missing, damaged or unfit.
    """
    spec = parse_name(name)
    path = _located(spec.path, folder)
    if not Path(path).expanduser().exists():
        _check_is_no_option(spec.target)
    table, notes = read_table(path, spec.options)
    _check_target_exists(table, spec)
    return table_task(name, table, spec.target, spec.kind, spec.options, split_seed, notes)


def table_task(
    name: str,
    table: pd.DataFrame,
    target: str,
    kind: Kind | str | None,
    options: TableOptions,
    split_seed: int,
    notes: tuple[str, ...] = (),
    sizes: tuple[int, ...] = (),
) -> Task:
    """Make a task of a data frame.

    Args:
        name: the task's.
        table: a row a case.
        target: column that is learned.
        kind: of the task, one of `lossforge.tasks.kinds` or its name; None to infer it.
        options: how columns are meant.
        split_seed: decides which rows train, validate and test.
        notes: on how the file was read.
        sizes: rows of the given training, validation and test split, which stand one after the
            other, 0 for one that is not given; by default all rows are dealt out.

    Raises:
        DataError: a column is missing, unfit, or can be understood in two ways.
    """
    check_columns(options, target, map(str, table.columns))
    table = table.reset_index(drop=True)
    wanted = read_target(table[target], kind, options)
    kept = table[wanted.kept]
    features = kept.drop(columns=[target, *dict.fromkeys(options.left_out)])
    columns = read_columns(features, options)
    sizes = sizes or (len(table), 0, 0)
    of_each = np.repeat(np.arange(len(sizes)), sizes)
    held = np.bincount(of_each[wanted.kept], minlength=len(sizes))
    parts = _parts(kept.iloc[: held[0]], wanted, options, split_seed, tuple(held.tolist()))
    inputs = encode_features(columns, parts[0])
    return assemble(
        name,
        wanted.kind,
        inputs=inputs,
        targets=wanted.values,
        parts=parts,
        classes=wanted.classes,
        sources=np.flatnonzero(wanted.kept),
        notes=(*notes, *wanted.notes, *columns.notes, *_repeated(kept, options)),
        interchangeable=not held[1] and options.group is None and options.time is None,
    )


def parse_name(name: str) -> TableSpec:
    """Take ``csv:PATH:TARGET[:KIND][:OPTION=VALUE,...]`` apart, from its end.

    Examples:
        >>> parse_name("csv:C:/wines.csv:quality:regression")[:3]
        ('C:/wines.csv', 'quality', 'regression')
        >>> parse_name("csv:titanic.csv:survived:drop=name,id=passenger").options.drop
        ('name',)
    """
    rest, kind, options = name.removeprefix(PREFIX), None, TableOptions()
    shorter, _, last = rest.rpartition(":")
    if ":" in shorter and looks_like_options(last):
        rest, options = shorter, parse_options(last)
    for known in KINDS:
        shorter = rest.removesuffix(f":{known}")
        if shorter != rest and ":" in shorter:
            rest, kind = shorter, known
    path, _, target = rest.rpartition(":")
    if not (path and target):
        raise DataError(f"{name!r} names no table; write {FORM} or {FORM}:{'|'.join(KINDS)}")
    return TableSpec(path, target, kind, options)


def _located(path: str, folder: Path | None) -> str:
    found = Path(path).expanduser()
    return path if folder is None or found.is_absolute() else str(folder / found)


def _check_target_exists(table: pd.DataFrame, spec: TableSpec) -> None:
    columns = [str(column) for column in table.columns]
    if spec.target not in columns:
        _check_is_no_option(spec.target)
        raise DataError(str(unknown_name(f"column of {spec.path!r}", spec.target, columns)))
    if len(columns) == 1:
        raise DataError(f"the table {spec.path!r} has no column but its target; add features")


def _check_is_no_option(target: str) -> None:
    """Raise `DataError` where what was taken for the target is an option with a typing error."""
    option, equals, _ = target.partition("=")
    if equals and option.isidentifier():
        raise DataError(str(unknown_name("option of a table", option, NAMES)))


def _parts(
    table: pd.DataFrame,
    target: Target,
    options: TableOptions,
    split_seed: int,
    sizes: tuple[int, ...],
) -> tuple[Rows, ...]:
    """Return the rows of each split, dealt out from the table where splits are not given."""
    groups = times = None
    if options.group is not None:
        groups = texts_of(table[options.group])
        if groups.isna().any():
            raise DataError(f"column {options.group!r} lacks a group; fill it in or drop the row")
    if options.time is not None:
        times = _times(table[options.time], options)
    found = None if groups is None else groups.to_numpy(str)
    return deal(sizes, target.strata, groups=found, times=times, seed=split_seed)


def _times(column: "pd.Series[Any]", options: TableOptions) -> NDArray[np.float64]:
    """Return a column of numbers or dates as numbers in the order of time."""
    if is_numeric(column):
        return numbers_of(column)
    dates = column
    if not pd.api.types.is_datetime64_any_dtype(column):
        texts = texts_of(column)
        found = read_numbers(texts, options.decimal)
        if found.share == 1:
            return found.values
        read = read_dates(texts, options.dates, asked=True)
        if read is None:
            raise DataError(f"column {column.name!r} holds neither numbers nor dates to order by")
        dates = read
    since = pd.to_datetime(dates, utc=True) - pd.Timestamp("2000-01-01", tz="UTC")
    return numbers_of(since / pd.Timedelta(days=1))


def _repeated(table: pd.DataFrame, options: TableOptions) -> tuple[str, ...]:
    """Say where rows of one id may stand in several splits."""
    return tuple(
        f"id {name!r} is not unique; group={name} keeps its rows in one split"
        for name in options.id
        if options.group is None and options.time is None and table[name].duplicated().any()
    )
