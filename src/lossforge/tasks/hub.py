"""``hub:NAME``: image or text classification from the Hugging Face hub, or a folder in its form.

Options follow the name: ``hub:OWNER/NAME:COLUMN:LABELS`` names the column of images or texts and
that of the labels, where the data set's own description does not.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lossforge.errors import DataError
from lossforge.extras import require_extra
from lossforge.tasks.characters import text_task
from lossforge.tasks.from_arrays import from_dataframe
from lossforge.tasks.images import channels_first, check_labels, image_task, official_parts
from lossforge.tasks.kinds import Kind
from lossforge.tasks.metrics import MetricLike
from lossforge.tasks.splits import Rows, split_rows
from lossforge.tasks.table_options import TableOptions
from lossforge.tasks.task import Task
from lossforge.validation import require

USAGE = "hub:OWNER/NAME or hub:OWNER/NAME:COLUMN:LABELS"
TEST_NAMES = ("test", "validation")


def load_from_hub(name: str, split_seed: int, folder: Path | None = None) -> Task:
    """Return the task of a data set of the hub, or of a local folder that `datasets` can read.

    The split called train is trained and validated on; the one called test (else validation)
    tests, and without either the rows of train are dealt out to all three.

    Raises:
        DataError: the data set cannot be had, or holds neither images nor texts with labels.
    """
    source, column, label = _parts_of(name)
    local = (folder or Path()) / source
    sets = _download(str(local) if local.is_dir() else source)
    train = sets.get("train")
    if train is None:
        raise DataError(f"{source} has no split called train, but {', '.join(sets)}")
    column = column or _column_of(train, ("Image", "string"), source, "images or texts")
    label = label or _column_of(train, ("ClassLabel", "int64", "int32"), source, "labels")
    held_out = next((sets[part] for part in TEST_NAMES if part in sets), None)
    chosen = [train] if held_out is None else [train, held_out]
    for rows in chosen:
        if missing := {column, label} - set(rows.column_names):
            raise DataError(f"{source} has no column {min(missing)!r}; write {USAGE}")
    labels, classes = _labels(chosen, label, source)
    parts = (
        split_rows(labels, split_seed)
        if held_out is None
        else official_parts(labels, len(train), split_seed)
    )
    cells = [cell for rows in chosen for cell in rows[column]]
    if isinstance(cells[0], str):
        return text_task(name, cells, labels, classes, split_seed, parts=parts)
    return _image_task(name, cells, labels, parts, classes)


def from_hub(
    source: str | Path,
    *,
    column: str = "",
    label: str = "",
    target: str = "",
    kind: Kind | str | None = None,
    options: TableOptions | None = None,
    metric: MetricLike | None = None,
    split_seed: int = 0,
) -> Task:
    """Make a task of a data set of the hub; see `Task.from_hub`."""
    require_extra("hub", "a data set of the hub")
    if target:
        require(not column and not label, "give target for a table, or column and label, not both")
        return _table(str(source), target, kind, options, metric, split_seed)
    require(bool(column) == bool(label), "give column and label, or neither of them")
    require(
        kind is None and options is None,
        "kind and options are for tables; name the column that is learned as target",
    )
    columns = f":{column}:{label}" if column else ""
    return load_from_hub(f"hub:{source}{columns}", split_seed).with_metric(metric)


def _table(
    source: str,
    target: str,
    kind: Kind | str | None,
    options: TableOptions | None,
    metric: MetricLike | None,
    split_seed: int,
) -> Task:
    """Return the task of a data set whose columns are those of a table."""
    sets = _download(source)
    if "train" not in sets:
        raise DataError(f"{source} has no split called train, but {', '.join(sets)}")
    held_out = next((sets[part] for part in TEST_NAMES if part in sets), None)
    return from_dataframe(
        sets["train"].to_pandas(),
        target,
        kind=kind,
        test=None if held_out is None else held_out.to_pandas(),
        options=options,
        name=f"hub:{source}",
        metric=metric,
        split_seed=split_seed,
    )


def _parts_of(name: str) -> tuple[str, str, str]:
    source, *columns = name.removeprefix("hub:").split(":")
    if not source or len(columns) not in (0, 2):
        raise DataError(f"{name!r} is no data set of the hub; write {USAGE}")
    return source, *(columns or ("", ""))


def _download(source: str) -> Any:
    import datasets  # takes seconds to import

    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(source)
    except Exception as error:  # datasets raises its own kinds, those of requests and of pyarrow
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{source} cannot be loaded ({reason}); check the name and the connection, or give "
            "a folder that holds its Parquet files"
        ) from None


def _column_of(rows: Any, kinds: tuple[str, ...], source: str, what: str) -> str:
    """Return the first column of the first of these kinds that there is."""
    for kind in kinds:
        for name, feature in rows.features.items():
            if type(feature).__name__ == kind or getattr(feature, "dtype", None) == kind:
                return str(name)
    raise DataError(f"{source} has no column of {what}; name both: {USAGE}")


def _labels(chosen: list[Any], label: str, source: str) -> tuple[Rows, tuple[str, ...]]:
    values = np.concatenate([np.asarray(rows[label]) for rows in chosen])
    if values.dtype.kind in "OUS":
        names, labels = np.unique(values.astype(str), return_inverse=True)
        return labels.astype(np.int64), tuple(names.tolist())
    if values.dtype.kind not in "iu":
        raise DataError(f"column {label!r} of {source} holds no labels; write {USAGE}")
    named = getattr(chosen[0].features[label], "names", None)
    count = int(check_labels(values, f"{source}, column {label!r}").max()) + 1
    classes = tuple(named) if named else tuple(str(index) for index in range(count))
    return values.astype(np.int64), classes


def _image_task(
    name: str, cells: list[Any], labels: Rows, parts: tuple[Rows, ...], classes: tuple[str, ...]
) -> Task:
    try:
        images = [
            channels_first(np.asarray(cell if cell.mode == "L" else cell.convert("RGB")))
            for cell in cells
        ]
    except AttributeError:
        raise DataError(f"{name}: the column holds neither images nor texts; write {USAGE}") from (
            None
        )
    if len({image.shape for image in images}) > 1:
        raise DataError(f"{name} holds images of unequal size; bring them to one")
    return image_task(name, np.stack(images), labels, parts, classes)
