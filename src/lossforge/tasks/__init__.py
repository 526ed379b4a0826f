"""What is learned on: tasks by name, from scikit-learn's data sets, files or a user's own table."""

import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch

from lossforge.errors import unknown_name
from lossforge.extras import require_extra
from lossforge.tasks import images, planted, public_tables, tabular
from lossforge.tasks.batches import Batches
from lossforge.tasks.conversion import TaskLike, task_of, tasks_of
from lossforge.tasks.cross_validation import folds
from lossforge.tasks.from_datasets import from_datasets
from lossforge.tasks.kinds import Classification, Kind, MultiLabel, Regression
from lossforge.tasks.metrics import Metric, OwnMetric
from lossforge.tasks.task import Augment, Split, Task

__all__ = [
    "Augment",
    "Batches",
    "Classification",
    "Kind",
    "Metric",
    "MultiLabel",
    "OwnMetric",
    "Regression",
    "Split",
    "Task",
    "TaskLike",
    "folds",
    "from_datasets",
    "has_relative_path",
    "load",
    "names",
    "task_of",
    "tasks_of",
]

LOADERS: dict[str, Callable[[int], Task]] = {
    "breast_cancer": tabular.breast_cancer,
    "diabetes": tabular.diabetes,
    "digits": tabular.digits,
    "iris": tabular.iris,
    "planted_imbalance": planted.imbalance,
    "planted_imbalance_corrupted_valid": planted.imbalance_corrupted_valid,
    "planted_label_noise": planted.label_noise,
    "planted_label_noise_corrupted_valid": planted.label_noise_corrupted_valid,
    "planted_outliers": planted.outliers,
    "planted_outliers_corrupted_valid": planted.outliers_corrupted_valid,
    "planted_student_t": planted.student_t,
    "planted_student_t_corrupted_valid": planted.student_t_corrupted_valid,
    "wine": tabular.wine,
}


FROM_FILES: dict[str, Callable[[int, str | Path | None], Task]] = {
    **public_tables.LOADERS,
    **{name: images.SETS[name].load for name in images.SETS},
}
"""tasks whose files a person must have, under --data-dir or LOSSFORGE_DATA"""

OWN_DATA = {
    "csv": ("csv_table", "load_csv", "tables"),
    "images": ("image_folder", "load_image_folder", "images"),
    "text": ("characters", "load_text_folder", None),
    "hub": ("hub", "load_from_hub", "hub"),
}
"""what loads a user's own data, by the prefix of the name: module, function and extra"""

OWN_FORMS = {
    "csv:PATH:TARGET": "your own table, CSV or Parquet: the column TARGET of the file PATH; "
    "options follow: csv:PATH:TARGET:drop=NAME,id=NUMBER",
    "images:DIR": "your own images, all of one size: a folder in DIR for each class",
    "text:DIR": "your own short texts: a file CLASS.txt in DIR for each class, a text a line",
    "hub:OWNER/NAME": "images or texts with labels from the Hugging Face hub, or a folder like it",
}


LOG = logging.getLogger("lossforge")
"""where a load says how it understood data that could be understood otherwise"""


def names() -> tuple[str, ...]:
    """Return the names of the tasks that need nothing but their name."""
    return tuple(LOADERS)


def has_relative_path(name: str) -> bool:
    """Tell whether what a name of the user's own data means depends on the current folder.

    Examples:
        >>> has_relative_path("csv:a.csv:y"), has_relative_path("csv:/a.csv:y")
        (True, False)
    """
    prefix, colon, path = name.partition(":")
    if not colon or prefix not in OWN_DATA or Path(path).expanduser().is_absolute():
        return False
    return prefix != "hub" or Path(path.partition(":")[0]).is_dir()


def load(
    name: str,
    *,
    split_seed: int = 0,
    device: torch.device | str = "cpu",
    data_dir: str | Path | None = None,
    folder: str | Path | None = None,
) -> Task:
    """Load a task by its name.

    What was inferred from a user's own data, and could be meant otherwise, is logged as a warning
    of the logger ``lossforge``, a line each, and is in the task's notes.

    Args:
        name: one of `names()`, or ``csv:PATH:TARGET`` for a table of the user's own, where
            ``:classification`` or ``:regression`` may follow to decide its kind, and
            ``:OPTION=VALUE,...`` (see `lossforge.tasks.table_options.TableOptions`); or
            ``images:DIR``, ``text:DIR`` or ``hub:OWNER/NAME``.
        split_seed: decides which rows train, validate and test.
        device: where the rows shall live.
        data_dir: folder of the data sets that come from files, each in a folder of its name; by
            default what the environment variable LOSSFORGE_DATA names.
        folder: that relative paths of the user's own data begin from; by default the current one.

    Raises:
        UnknownNameError: no task has that name.
        DataError: files are missing, damaged or unfit.
        MissingPackageError: reading them needs an extra that is not installed.

    Examples:
        >>> task = load("digits")
        >>> len(task.train), len(task.valid), len(task.test), task.input_shape
        (1079, 359, 359, (1, 8, 8))
    """
    task: Task
    if (prefix := name.partition(":")[0]) in OWN_DATA and ":" in name:
        # Imported on use: pandas and datasets take longer to import than all of lossforge.
        module, function, extra = OWN_DATA[prefix]
        if extra is not None:
            require_extra(extra, f"a task {prefix}:...")
        load_own = getattr(import_module(f"lossforge.tasks.{module}"), function)
        task = load_own(name, split_seed, None if folder is None else Path(folder))
        for note in task.notes:
            LOG.warning("note: %s", note)
    elif name in LOADERS:
        task = LOADERS[name](split_seed)
    elif name in FROM_FILES:
        task = FROM_FILES[name](split_seed, data_dir)
    else:
        raise unknown_name("task", name, [*LOADERS, *FROM_FILES, *OWN_FORMS])
    return task.to(device)
