"""Tasks from data in memory: arrays, tensors and data frames; `Task.from_arrays` and its like."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from lossforge.errors import ConfigurationError, DataError
from lossforge.tasks.assembly import assemble, standardize
from lossforge.tasks.kinds import Classification, Kind, Regression, as_kind
from lossforge.tasks.metrics import MetricLike
from lossforge.tasks.splits import FRACTIONS, Rows, deal, quantile_bins
from lossforge.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

    from lossforge.tasks.table_options import TableOptions

MOST_CLASSES_BY_DEFAULT = 20
"""whole numbers of which there are more are regressed unless the kind is given"""

Pair = tuple[ArrayLike, ArrayLike]
"""inputs and targets of a split"""


def from_arrays(
    inputs: ArrayLike | torch.Tensor,
    targets: ArrayLike | torch.Tensor,
    *,
    kind: Kind | str | None = None,
    valid: Pair | None = None,
    test: Pair | None = None,
    fractions: tuple[float, ...] = FRACTIONS,
    groups: ArrayLike | None = None,
    times: ArrayLike | None = None,
    classes: tuple[str, ...] = (),
    scale_inputs: bool = True,
    tokens: bool = False,
    name: str = "arrays",
    metric: MetricLike | None = None,
    split_seed: int = 0,
) -> Task:
    """Make a task of arrays or tensors; see `Task.from_arrays`."""
    parts_given = [(inputs, targets), valid, test]
    all_inputs = [_inputs(pair[0], tokens) for pair in parts_given if pair is not None]
    all_targets = [_array(pair[1], "targets") for pair in parts_given if pair is not None]
    _check_shapes(all_inputs, all_targets)
    sizes = _sizes(parts_given)
    values, wanted = np.concatenate(all_inputs), np.concatenate(all_targets)
    kind, notes = _kind_of(wanted, kind)
    labels: NDArray[Any]
    if isinstance(kind, Classification) and _are_shares(wanted):
        labels = _numbers(wanted)
        classes = classes or tuple(map(str, range(wanted.shape[1])))
    elif isinstance(kind, Classification):
        labels, classes = _labels(wanted, classes)
    else:
        labels = _numbers(wanted)
    strata = _strata(labels, kind)
    parts = deal(sizes, strata, fractions, groups=groups, times=times, seed=split_seed)
    if scale_inputs and not tokens:
        values = _scaled(values, parts[0])
    task = assemble(
        name,
        kind,
        inputs=values,
        targets=labels,
        parts=parts,
        classes=classes,
        notes=notes,
        interchangeable=valid is None and groups is None and times is None,
    )
    return task.with_metric(metric)


def from_dataframe(
    table: "pd.DataFrame",
    target: str,
    *,
    kind: Kind | str | None = None,
    valid: "pd.DataFrame | None" = None,
    test: "pd.DataFrame | None" = None,
    options: "TableOptions | None" = None,
    name: str = "dataframe",
    metric: MetricLike | None = None,
    split_seed: int = 0,
) -> Task:
    """Make a task of a data frame; see `Task.from_dataframe`."""
    from lossforge.extras import require_extra

    require_extra("tables", "a data frame")
    import pandas as pd

    from lossforge.tasks.csv_table import table_task
    from lossforge.tasks.table_options import TableOptions

    frames = [table, valid, test]
    for frame in frames:
        if frame is not None and not isinstance(frame, pd.DataFrame):
            raise ConfigurationError(f"a {type(frame).__name__} is no pandas data frame; give one")
    known = [frame for frame in frames if frame is not None]
    if target not in table.columns:
        from lossforge.errors import unknown_name

        raise DataError(str(unknown_name("column", str(target), map(str, table.columns))))
    for frame in known[1:]:
        if set(frame.columns) != set(table.columns):
            odd = min(map(str, set(frame.columns) ^ set(table.columns)))
            raise DataError(f"column {odd!r} is not in every data frame; give them the same ones")
    task = table_task(
        name,
        pd.concat(known, ignore_index=True) if len(known) > 1 else table,
        target,
        kind,
        options or TableOptions(),
        split_seed,
        sizes=tuple(0 if frame is None else len(frame) for frame in frames),
    )
    return task.with_metric(metric)


def _array(values: Any, what: str) -> NDArray[Any]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise DataError(f"the {what} are no array ({error}); give them one shape") from None
    if found.ndim == 0:
        raise DataError(f"the {what} are a {type(values).__name__}; give an array")
    return found


def _inputs(values: Any, tokens: bool) -> NDArray[Any]:
    found = _array(values, "inputs")
    if found.dtype.kind not in "biuf":
        raise DataError(
            f"the inputs are {found.dtype}, no numbers; for a data frame there is "
            "Task.from_dataframe"
        )
    if tokens:
        if found.dtype.kind not in "iu":
            raise DataError(f"tokens are whole numbers, but the inputs are {found.dtype}")
        return found.astype(np.int64)
    return found[:, None].astype(np.float64) if found.ndim == 1 else found.astype(np.float64)


def _check_shapes(inputs: list[NDArray[Any]], targets: list[NDArray[Any]]) -> None:
    for values, wanted in zip(inputs, targets, strict=True):
        if len(values) != len(wanted):
            raise DataError(
                f"there are {len(values)} rows of inputs, but {len(wanted)} targets; give one each"
            )
        for what, found, first in (("inputs", values, inputs[0]), ("targets", wanted, targets[0])):
            if found.shape[1:] != first.shape[1:]:
                raise DataError(
                    f"rows of {what} have shape {list(found.shape[1:])} in one split and "
                    f"{list(first.shape[1:])} in another; bring them to one"
                )


def _sizes(parts: list[tuple[Any, Any] | None]) -> tuple[int, ...]:
    return tuple(0 if part is None else len(part[0]) for part in parts)


def _strata(labels: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Return what every split gets its share of."""
    if isinstance(kind, Classification):
        return labels.argmax(axis=1) if labels.ndim > 1 else labels
    values = labels.mean(axis=-1)
    return values if kind.predicts_probabilities else quantile_bins(values)


def _kind_of(targets: NDArray[Any], kind: Kind | str | None) -> tuple[Kind, tuple[str, ...]]:
    """Return the kind, and what to say where it was inferred and could be the other."""
    if kind is not None:
        return as_kind(kind), ()
    if targets.ndim > 1 and targets.shape[1:] != (1,):
        return Regression(), ()
    if targets.dtype.kind not in "iuf":
        return Classification(), ()
    distinct = np.unique(targets)
    if targets.dtype.kind == "f" and (distinct % 1 != 0).any():
        return Regression(), ()
    few = len(distinct) <= MOST_CLASSES_BY_DEFAULT
    found: Kind = Classification() if few else Regression()
    if len(distinct) == 2 or (few and targets.dtype.kind != "f"):
        return found, ()
    return found, (
        f"kind='{found}' was inferred: the targets are {len(distinct)} whole numbers from "
        f"{distinct[0]:g} to {distinct[-1]:g}",
    )


def _are_shares(targets: NDArray[Any]) -> bool:
    """Tell whether targets are shares of classes, a row each."""
    return targets.ndim == 2 and targets.shape[1] > 1 and targets.dtype.kind == "f"


def _labels(
    targets: NDArray[Any], classes: tuple[str, ...]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if targets.shape[1:] not in ((), (1,)):
        raise DataError(
            f"targets of shape {list(targets.shape)} are no classes; give one label a row"
        )
    flat = targets.reshape(-1)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        raise DataError("the targets hold NaN or infinite values; drop these rows")
    if flat.dtype == object:
        flat = flat.astype(str)
    names, labels = np.unique(flat, return_inverse=True)
    if not classes:
        return labels.astype(np.int64), tuple(_class_name(name) for name in names)
    if flat.dtype.kind not in "iu" or names[0] < 0 or names[-1] >= len(classes):
        raise DataError(
            f"{len(classes)} classes are named, but the targets are not labels from 0 to "
            f"{len(classes) - 1}"
        )
    return flat.astype(np.int64), classes


def _class_name(value: Any) -> str:
    return str(int(value)) if isinstance(value, np.floating) and value % 1 == 0 else str(value)


def _numbers(targets: NDArray[Any]) -> NDArray[np.float64]:
    if targets.dtype.kind not in "biuf":
        raise DataError(f"the targets are {targets.dtype} and cannot be regressed; give numbers")
    if targets.ndim > 2:
        raise DataError(f"targets of shape {list(targets.shape)} cannot be regressed; flatten them")
    columns = targets[:, None] if targets.ndim == 1 else targets
    return columns.astype(np.float64)


def _scaled(values: NDArray[np.float64], train: Rows) -> NDArray[np.float64]:
    """Standardize columns of [N, features] and channels of [N, channels, height, width].

    In what has another shape, sequences or volumes, one mean and deviation serve all values.
    """
    match values.ndim:
        case 2:
            axes: tuple[int, ...] = (0,)
        case 4:
            axes = (0, 2, 3)
        case _:
            axes = tuple(range(values.ndim))
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused by the task
        return standardize(values, train, axes)
