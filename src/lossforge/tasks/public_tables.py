"""Public tables from their own files: California housing, Communities and Crime, surnames."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lossforge.errors import DataError, one_line
from lossforge.extras import require_extra
from lossforge.tasks.assembly import Values, assemble, standardize
from lossforge.tasks.characters import read_lines, text_task
from lossforge.tasks.folders import find_file
from lossforge.tasks.kinds import Regression
from lossforge.tasks.splits import quantile_bins, split_rows
from lossforge.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

HOUSING = [
    *("longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms"),
    *("population", "households", "median_income", "median_house_value"),
]
LONGEST_NAME = 20
"""characters of a surname; what is longer is cut"""


def california_housing(split_seed: int, data_dir: str | Path | None = None) -> Task:
    """20,640 block groups, 8 features: the median value of houses (Pace & Barry 1997)."""
    (path,) = find_file(data_dir, "california_housing", "housing.csv", "the raw 1990 census CSV")
    table = _read_csv(path)
    if missing := set(HOUSING) - set(table.columns):
        raise DataError(f"{path} has no column {min(missing)!r}; the raw file has it")
    column = {name: table[name].to_numpy(float) for name in HOUSING}
    features = [
        column["median_income"],
        column["housing_median_age"],
        column["total_rooms"] / column["households"],
        column["total_bedrooms"] / column["households"],
        column["population"],
        column["population"] / column["households"],
        column["latitude"],
        column["longitude"],
    ]
    target = column["median_house_value"]
    return _regression("california_housing", np.stack(features, 1), target, split_seed)


def communities_crime(split_seed: int, data_dir: str | Path | None = None) -> Task:
    """1,994 communities, 122 features: violent crimes per head (Redmond 2009)."""
    source = "UCI's Communities and Crime"
    (path,) = find_file(data_dir, "communities_crime", "communities.data", source)
    names = path.read_text(encoding="utf-8").split("\n", 1)[0].strip().split(",")
    if names[-1] != "ViolentCrimesPerPop":
        raise DataError(f"{path} does not name its last column ViolentCrimesPerPop")
    table = _read_csv(path, header=None, skip=1)
    # The rows begin with five columns that identify a community, which the header leaves out.
    table = table.iloc[:, -len(names) :].astype(float)
    values = table.to_numpy()
    return _regression("communities_crime", values[:, :-1], values[:, -1], split_seed)


def surnames(split_seed: int, data_dir: str | Path | None = None) -> Task:
    """20,050 surnames as characters [20, alphabet], one-hot: 18 languages (practical-pytorch)."""
    files = find_file(data_dir, "surnames", "*.txt", "practical-pytorch's names, one file each")
    return text_task("surnames", *read_lines(files), split_seed, longest=LONGEST_NAME)


def _regression(name: str, inputs: Values, targets: Values, split_seed: int) -> Task:
    parts = split_rows(quantile_bins(targets), split_seed)
    known = inputs[parts[0]]
    # A missing value becomes its column's mean on the training rows.
    means = np.nanmean(known, axis=0)
    filled = np.where(np.isnan(inputs), means, inputs)
    return assemble(
        name,
        Regression(),
        inputs=standardize(filled, parts[0]),
        targets=targets,
        parts=parts,
    )


def _read_csv(path: Path, *, header: int | None = 0, skip: int = 0) -> "pd.DataFrame":
    require_extra("tables", f"reading {path.name}")
    import pandas as pd  # takes longer to import than all of lossforge

    try:
        table = pd.read_csv(path, header=header, skiprows=skip, na_values="?")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {one_line(error)[:200]}") from None
    return table


LOADERS: dict[str, Callable[[int, str | Path | None], Task]] = {
    "california_housing": california_housing,
    "communities_crime": communities_crime,
    "surnames": surnames,
}
