"""Rows for training, validation and test: disjoint, stratified, and fixed by a seed."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lossforge.errors import ConfigurationError, DataError
from lossforge.randomness import torch_generator
from lossforge.tasks.kinds import Kind
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


def split_groups(
    groups: NDArray[Any], strata: NDArray[Any], seed: int, fractions: tuple[float, ...] = FRACTIONS
) -> tuple[Rows, ...]:
    """Deal groups of rows out to splits, each group to one, so that strata stay in proportion.

    The largest group goes first, each to the split that it brings nearest to its share of every
    stratum.

    Args:
        groups: [N] group of each row.
        strata: [N] class of each row, or `quantile_bins` of a regression target.
        seed: the same seed gives the same rows.
        fractions: share of each split.

    Raises:
        DataError: there are fewer groups than splits.

    Examples:
        >>> import numpy as np
        >>> patients = np.repeat(np.arange(10), 10)
        >>> train, valid, test = split_groups(patients, np.tile([0, 1], 50), seed=0)
        >>> len(train), len(valid), len(test), set(patients[train]) & set(patients[test])
        (60, 20, 20, set())
    """
    _, group_of = np.unique(groups, return_inverse=True)
    _, stratum_of = np.unique(strata, return_inverse=True)
    count = int(group_of.max()) + 1
    if count < len(fractions):
        raise DataError(f"{count} groups are fewer than the {len(fractions)} splits; add groups")
    held = np.zeros((count, int(stratum_of.max()) + 1))
    np.add.at(held, (group_of, stratum_of), 1.0)
    shuffled = torch.randperm(count, generator=torch_generator(seed, "split")).numpy()
    order = shuffled[np.argsort(-held[shuffled].sum(1), kind="stable")]
    wanted = np.outer(fractions, held.sum(0))
    dealt = np.zeros_like(wanted)
    part_of = np.zeros(count, dtype=np.int64)
    for group in order:
        # What a row more changes in the sum of squared shortfalls, relative to each share.
        gain = ((wanted - dealt) * held[group] / wanted).sum(1)
        part_of[group] = part = int(gain.argmax())
        dealt[part] += held[group]
    parts = tuple(np.flatnonzero(part_of[group_of] == part) for part in range(len(fractions)))
    if not all(len(rows) for rows in parts):
        raise DataError("a few groups hold nearly all rows, so that a split is empty; add groups")
    return parts


def split_by_time(
    times: NDArray[Any], fractions: tuple[float, ...] = FRACTIONS
) -> tuple[Rows, ...]:
    """Cut rows into splits by their time, the earliest first; equal times stay together.

    Args:
        times: [N] numbers or dates.
        fractions: share of each split, up to equal times.

    Raises:
        DataError: a time is missing, or too few differ.

    Examples:
        >>> import numpy as np
        >>> [rows.tolist() for rows in split_by_time(np.array([5, 4, 3, 2, 1]))]
        [[2, 3, 4], [1], [0]]
    """
    if bool(np.isnan(times).any()):
        raise DataError("a time is missing; fill it in or drop the row")
    distinct, rank = np.unique(times, return_inverse=True)
    share = np.cumsum(np.bincount(rank)) / len(times)
    ends = np.searchsorted(share, np.cumsum(fractions)[:-1] - 1e-9) + 1
    if len(distinct) < len(fractions) or len({0, *ends, len(distinct)}) <= len(fractions):
        raise DataError(
            f"{len(distinct)} different times are too few for {len(fractions)} splits in the order "
            "of time"
        )
    part = np.searchsorted(ends, rank, side="right")
    return tuple(np.flatnonzero(part == index) for index in range(len(fractions)))


def strata_of(targets: Tensor, kind: Kind) -> NDArray[Any]:
    """Return what every split is to have its share of: classes, or bins of the first value.

    Probabilities count as their greatest class; labels of several positions are not told apart.

    Args:
        targets: of a task, a row each.
        kind: of the task.

    Examples:
        >>> from lossforge.tasks.kinds import Classification
        >>> strata_of(torch.tensor([[0.2, 0.8], [0.9, 0.1]]), Classification())
        array([1, 0])
    """
    targets = targets.cpu()
    if kind.has_class_dimension and targets.dim() == 2 and targets.is_floating_point():
        return targets.argmax(1).numpy()
    if targets.dim() > 1 and not targets.is_floating_point():
        return np.zeros(len(targets), dtype=np.int64)
    values = targets.flatten(1)[:, 0] if targets.dim() > 1 else targets
    return quantile_bins(values.numpy()) if targets.is_floating_point() else values.numpy()


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


def deal(
    sizes: tuple[int, ...],
    strata: NDArray[Any],
    fractions: tuple[float, ...] = FRACTIONS,
    *,
    groups: ArrayLike | None = None,
    times: ArrayLike | None = None,
    seed: int,
) -> tuple[Rows, ...]:
    """Return the rows of training, validation and test; those not given are training rows.

    Args:
        sizes: rows of the given splits, which stand one after the other; 0 for one not given.
        strata: [N] what splits are stratified by.
        fractions: share of each split where all three are dealt.
        groups: [sizes[0]] group of each row, which stays in one split.
        times: [sizes[0]] time of each row; the earliest train.
        seed: of the dealing.
    """
    if len(fractions) != len(sizes):
        raise ConfigurationError(f"fractions must be {len(sizes)} numbers, not {fractions!r}")
    if groups is not None and times is not None:
        raise ConfigurationError("groups and times each decide the splits; give one of the two")
    starts = np.cumsum([0, *sizes])
    given = [np.arange(starts[i], starts[i + 1]) for i in range(len(sizes))]
    missing = [i for i, size in enumerate(sizes) if size == 0]
    if not missing:
        return tuple(given)
    shares = np.array([fractions[0], *(fractions[i] for i in missing)])
    share = tuple((shares / shares.sum()).tolist())
    first = sizes[0]
    if groups is not None:
        dealt = split_groups(_one_each(groups, first, "groups"), strata[:first], seed, share)
    elif times is not None:
        dealt = split_by_time(_one_each(times, first, "times"), share)
    else:
        dealt = split_rows(strata[:first], seed, share)
    for index, rows in zip([0, *missing], dealt, strict=True):
        given[index] = rows
    return tuple(given)


def _one_each(values: ArrayLike, rows: int, what: str) -> NDArray[Any]:
    found = np.asarray(values)
    if found.shape != (rows,):
        raise ConfigurationError(
            f"{what} have shape {list(found.shape)}, but there are {rows} rows; give one for each"
        )
    if what == "times":
        if found.dtype.kind == "M":
            return found.astype("datetime64[us]").astype(np.float64)
        if found.dtype.kind not in "iuf":
            raise ConfigurationError(f"times must be numbers or datetime64, not {found.dtype}")
    return found
