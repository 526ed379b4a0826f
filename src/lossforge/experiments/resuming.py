"""Continuing an interrupted run, whichever experiment it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lossforge.errors import unknown_name
from lossforge.experiments.arguments import require_fields
from lossforge.experiments.compare_run import CompareExperiment, ComparisonReport
from lossforge.experiments.experiment import Experiment, Report, conclude
from lossforge.experiments.fewshot_run import FewShotExperiment, FewShotReport
from lossforge.experiments.search_run import SearchExperiment, SearchReport
from lossforge.experiments.train_run import TrainExperiment, TrainingReport
from lossforge.runs import Run, RunFolder

Restored = Callable[[RunFolder], Experiment[Any]]
Made = Callable[[Run], Report]

COMMANDS: dict[str, tuple[Restored, Made]] = {
    "search": (SearchExperiment.restored, SearchReport),
    "train": (TrainExperiment.restored, TrainingReport),
    "compare": (CompareExperiment.restored, ComparisonReport),
    "fewshot": (FewShotExperiment.restored, FewShotReport),
}


def resume(path: str | Path, *, progress: bool = True) -> Report:
    """Continue an interrupted run, and return its report; a complete run is only read.

    Args:
        path: the run's folder.
        progress: show progress on standard error.

    Raises:
        RunError: there is no run, or it was begun with objects that have no name.
        FileFormatError: a file of the run is damaged.
    """
    folder = RunFolder.open(Path(path))
    config = folder.config
    require_fields(config, {"command"}, folder.path)
    command = str(config["command"])
    if command not in COMMANDS:
        raise unknown_name("resumable command", command, COMMANDS)
    restored, report = COMMANDS[command]
    done: Report = conclude(folder, lambda: restored(folder), report, progress=progress)
    return done
