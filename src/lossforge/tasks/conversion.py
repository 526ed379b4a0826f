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


def split_tasks(value: object) -> list[object]:
    """Return the values that each stand for a task, where there may be several.

    A list or tuple that is empty, or has a name or a `Task` in it, is several tasks; any other is
    what `task_of` makes one task of.

    Examples:
        >>> split_tasks(["iris", "wine"]), split_tasks("iris")
        (['iris', 'wine'], ['iris'])
    """
    if isinstance(value, list | tuple) and (
        not value or any(isinstance(one, str | Task) for one in value)
    ):
        return list(value)
    return [value]


def tasks_of(value: object) -> list[Task]:
    """Return the tasks that a value is or stands for, where there may be several.

    Examples:
        >>> [task.name for task in tasks_of(["iris", "wine"])]
        ['iris', 'wine']
    """
    return [task_of(one) for one in split_tasks(value)]


def check_alike(tasks: Sequence[Task]) -> None:
    """Refuse tasks that one loss cannot be learned or compared on.

    Raises:
        ConfigurationError: there is no task, or they are of two kinds or have two metrics.
    """
    if not tasks:
        raise ConfigurationError("give at least one task")
    if len(kinds := {task.kind for task in tasks}) > 1:
        raise ConfigurationError(
            f"a loss serves one kind of task, and these are of "
            f"{' and '.join(sorted(map(str, kinds)))}; give tasks of one kind"
        )
    if len(metrics := {task.metric for task in tasks}) > 1:
        raise ConfigurationError(
            f"the tasks are measured by {' and '.join(sorted(metrics))}; give them one metric"
        )


def _is_data_set(value: object) -> bool:
    if isinstance(value, Dataset | DataLoader):
        return True
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], tuple) and len(value[0]) > 1
    has_rows = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    return has_rows and not isinstance(value, str | tuple | dict | Tensor | bytes)
