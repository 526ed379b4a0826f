"""Folds of a task: its training and validation rows dealt anew, as in cross-validation.

A few hundred validation rows tell losses apart that differ by several rows, no better. Trained
once on each fold, every row but those of the test validates once.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossforge.errors import DataError
from lossforge.randomness import torch_generator
from lossforge.tasks.row_source import RowSource
from lossforge.tasks.splits import strata_of
from lossforge.tasks.task import Split, Task
from lossforge.validation import require_whole

FEW_ROWS = 20_000
"""training and validation rows up to which a task has folds; more tell losses apart as they are"""


def folds(task: Task, count: int, seed: int = 0) -> tuple[Task, ...]:
    """Return the task as it is, and with other training rows in its validation split.

    The training rows are dealt out, stratified, in parts about as large as the validation split;
    each fold validates on one of them and trains on all other rows. Test rows stay where they are,
    and inputs as they were standardized.

    Args:
        task: whose training and validation rows are interchangeable, and few; any other task is its
            own only fold, and so is one with a class that is too rare to be in every part.
        count: of folds at most; there are no more than fit the rows.
        seed: decides the parts.

    Raises:
        ConfigurationError: `count` is below 1.

    Examples:
        >>> from lossforge.tasks import load
        >>> iris = load("iris")
        >>> [len(fold.valid) for fold in folds(iris, 10)]
        [30, 30, 30, 30]
        >>> rows = torch.cat([fold.valid.rows for fold in folds(iris, 10)])
        >>> len(rows.unique())
        120
    """
    require_whole("folds", count, 1)
    train, valid = task.train, task.valid
    parts = round(len(train) / len(valid))
    count = min(count, 1 + parts)
    if count == 1 or parts < 2 or not task.interchangeable or _is_large(task):
        return (task,)
    part_of = _parts(strata_of(train.targets, task.kind), parts, seed)
    try:
        return (task, *(_fold(task, part_of == part) for part in range(count - 1)))
    except DataError:  # a class is so rare that some fold lacks it, or does not define the metric
        return (task,)


def _is_large(task: Task) -> bool:
    sources = isinstance(task.train.inputs, RowSource) or isinstance(task.valid.inputs, RowSource)
    return sources or len(task.train) + len(task.valid) > FEW_ROWS


def _parts(strata: NDArray[Any], count: int, seed: int) -> Tensor:
    """Return the part of each row; every part has its share of each stratum."""
    shuffled = torch.randperm(len(strata), generator=torch_generator(seed, "folds")).numpy()
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    part_of = np.empty(len(strata), dtype=np.int64)
    part_of[by_stratum] = np.arange(len(strata)) % count
    return torch.from_numpy(part_of)


def _fold(task: Task, validates: Tensor) -> Task:
    """Return the task where some training rows validate, and the validation rows train."""
    device = task.train.rows.device
    inside, outside = (
        task.train.take(torch.nonzero(chosen)[:, 0].to(device))
        for chosen in (validates, ~validates)
    )
    return replace(task, train=_joined(outside, task.valid), valid=inside)


def _joined(first: Split, second: Split) -> Split:
    return Split(
        torch.cat([_tensor(first.inputs), _tensor(second.inputs)]),
        torch.cat([first.targets, second.targets]),
        torch.cat([first.rows, second.rows]),
    )


def _tensor(inputs: Tensor | RowSource) -> Tensor:
    assert isinstance(inputs, Tensor)  # sources have one fold
    return inputs
