"""What a person may give as a task: a name, a task, data sets, or train, valid and test sets."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lossforge.errors import ConfigurationError
from lossforge.tasks.from_datasets import from_datasets
from lossforge.tasks.task import Task

TaskLike = str | Task | Dataset[Any] | DataLoader[Any] | Sequence[Any]
"""a task's name, a `Task`, a data set or loader, or a tuple of train, valid and test data sets"""


def task_of(value: object) -> Task:
    """Return the task that a value is or stands for.

    Args:
        value: a name, a task, a PyTorch data set or loader, a list of (inputs, target) pairs, or a
            tuple of two or three such: training, validation and test data.

    Raises:
        ConfigurationError: it is none of these.
        DataError: a data set is malformed.

    Examples:
        >>> task_of("iris").outputs
        3
        >>> import torch
        >>> pairs = [(torch.randn(3), i % 2) for i in range(40)]
        >>> len(task_of((pairs, pairs[:10], pairs[10:])).test)
        30
    """
    if isinstance(value, Task):
        return value
    if isinstance(value, str):
        from lossforge.tasks import load

        return load(value)
    if _is_data_set(value):
        return from_datasets(value)
    if isinstance(value, tuple) and len(value) in (2, 3) and all(map(_is_data_set, value)):
        return from_datasets(*value)
    what = f"a {type(value).__name__}"
    if isinstance(value, type):
        what = f"the class {value.__name__}"
    raise ConfigurationError(
        f'the task is {what}; give a name, such as "digits", a lossforge.tasks.Task, a data set '
        "or loader, or a tuple of training, validation and test data sets"
    )


def tasks_of(value: object) -> list[Task]:
    """Return the tasks that a value is or stands for, where there may be several.

    Examples:
        >>> [task.name for task in tasks_of(["iris", "wine"])]
        ['iris', 'wine']
    """
    if isinstance(value, list | tuple) and all(isinstance(one, str | Task) for one in value):
        return [task_of(one) for one in value]
    return [task_of(value)]


def _is_data_set(value: object) -> bool:
    if isinstance(value, Dataset | DataLoader):
        return True
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], tuple) and len(value[0]) > 1
    has_rows = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    return has_rows and not isinstance(value, str | tuple | dict | Tensor | bytes)
