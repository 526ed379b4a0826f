"""Where real data lie: one folder a data set, under --data-dir or LOSSFORGE_DATA."""

import os
from pathlib import Path

from lossforge.errors import DataError

VARIABLE = "LOSSFORGE_DATA"


def find_file(data_dir: str | Path | None, name: str, files: str, source: str) -> list[Path]:
    """Return the files of a data set, in order.

    Args:
        data_dir: the folder of all data sets; by default what LOSSFORGE_DATA names.
        name: of the data set's folder in it.
        files: pattern of the files.
        source: where they can be had, for the error.

    Raises:
        DataError: there are none.

    Examples:
        >>> find_file("/nowhere", "mnist", "train-*.parquet", "the hub's ylecun/mnist")
        Traceback (most recent call last):
        ...
        lossforge.errors.DataError: mnist needs /nowhere/mnist/train-*.parquet: get the hub's ...
    """
    root = data_dir if data_dir is not None else os.environ.get(VARIABLE)
    if root is None:
        raise DataError(
            f"{name} needs files: get {source}, put them into DIR/{name}, and pass "
            f"--data-dir DIR or set {VARIABLE}"
        )
    found = sorted((Path(root) / name).glob(files))
    if not found:
        raise DataError(
            f"{name} needs {Path(root) / name / files}: get {source} and put it there, or correct "
            f"--data-dir or {VARIABLE}"
        )
    return found
