"""Rows for training, validation and test: disjoint, stratified, and fixed by a seed."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lossforge.errors import DataError
from lossforge.randomness import torch_generator
from lossforge.validation import require

Rows = NDArray[np.int64]

FRACTIONS = (0.6, 0.2, 0.2)
FEWEST_ROWS = 20


def split_rows(
    strata: NDArray[Any], seed: int, fractions: tuple[float, ...] = FRACTIONS
) -> tuple[Rows, ...]:
    """Deal rows out to splits so that each holds every stratum in about the same proportion.

    scikit-learn's `train_test_split` refuses many classes with few rows and can leave a rare class
    out of a split; here a stratum's rows are dealt out on their own, so that each split gets its
    share to within one row, and at least one.

    Args:
        strata: [N] class of each row, or `quantile_bins` of a regression target.
        seed: the same seed gives the same rows.
        fractions: share of each split; the first is the training split's, and at least 0.5.

    Returns:
        Sorted row numbers, one int64 array a split.

    Raises:
        DataError: fewer than 20 rows, or a stratum with fewer rows than there are splits.

    Examples:
        >>> import numpy as np
        >>> train, valid, test = split_rows(np.repeat(["a", "b"], 50), seed=0)
        >>> len(train), len(valid), len(test)
        (60, 20, 20)
    """
    fair = min(fractions) > 0 and fractions[0] >= 0.5 and abs(sum(fractions) - 1) < 1e-9
    require(fair, f"fractions must be positive, the first 0.5 or more, and sum to 1: {fractions}")
    _check_counts(strata, len(fractions))
    generator = torch_generator(seed, "split")
    shuffled = torch.randperm(len(strata), generator=generator).numpy()
    parts: list[list[Rows]] = [[] for _ in fractions]
    for stratum in np.unique(strata):
        rows = shuffled[strata[shuffled] == stratum]
        cuts = np.cumsum(_sizes(len(rows), fractions))[:-1]
        for part, dealt in zip(parts, np.split(rows, cuts), strict=True):
            part.append(dealt)
    return tuple(np.sort(np.concatenate(part)) for part in parts)


def quantile_bins(values: NDArray[Any]) -> Rows:
    """Return the strata of a regression target: up to ten bins of equal size, by rank.

    Args:
        values: [N] target of each row.

    Examples:
        >>> import numpy as np
        >>> quantile_bins(np.linspace(9, 0, 20))
        array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    """
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    count = min(10, max(1, len(values) // 10))
    return ranks * count // len(values)


def _sizes(count: int, fractions: tuple[float, ...]) -> list[int]:
    held_out = [max(1, round(count * fraction)) for fraction in fractions[1:]]
    return [count - sum(held_out), *held_out]


def _check_counts(strata: NDArray[Any], splits: int) -> None:
    if len(strata) < FEWEST_ROWS:
        raise DataError(f"{len(strata)} rows are too few to split; bring {FEWEST_ROWS} or more")
    names, counts = np.unique(strata, return_counts=True)
    rarest = counts.argmin()
    if counts[rarest] < splits:
        raise DataError(
            f"class '{names[rarest]}' has {counts[rarest]} of the {splits} rows or more that its "
            "share in every split needs; add rows, or drop or merge the class"
        )
