"""Continuing an interrupted run, whichever experiment it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lossforge import __version__
from lossforge.errors import RunError, unknown_name
from lossforge.experiments.arguments import Workers, as_execution, require_fields
from lossforge.experiments.benchmark_report import BenchmarkReport
from lossforge.experiments.benchmark_run import BenchmarkExperiment
from lossforge.experiments.compare_report import ComparisonReport
from lossforge.experiments.compare_run import CompareExperiment
from lossforge.experiments.experiment import (
    Experiment,
    Report,
    check_same,
    open_to_continue,
    underway,
)
from lossforge.experiments.fewshot_run import FewShotExperiment, FewShotReport
from lossforge.experiments.pages import keep_page
from lossforge.experiments.search_report import SearchReport
from lossforge.experiments.search_run import SearchExperiment
from lossforge.experiments.train_report import TrainingReport
from lossforge.experiments.train_run import TrainExperiment
from lossforge.experiments.watching import Progress as Watched
from lossforge.runs import Run, RunFolder

Restored = Callable[[RunFolder], Experiment[Any]]
Made = Callable[[Run], Report]

COMMANDS: dict[str, tuple[Restored, Made]] = {
    "search": (SearchExperiment.restored, SearchReport),
    "train": (TrainExperiment.restored, TrainingReport),
    "compare": (CompareExperiment.restored, ComparisonReport),
    "benchmark": (BenchmarkExperiment.restored, BenchmarkReport),
    "fewshot": (FewShotExperiment.restored, FewShotReport),
}


def resume(path: str | Path, *, workers: Workers = 1, progress: Watched = True) -> Report:
    """Continue an interrupted run, and return its report; a complete run is only read.

    Args:
        path: the run's folder.
        workers: how many processes train side by side, as for `search`; it need not be what the
            run was begun with.
        progress: show progress on standard error.

    Raises:
        RunError: there is no run, it was begun with objects that have no name, or settings,
            version, data or losses are no longer those that it was begun with.
        FileFormatError: a file of the run is damaged.
    """
    folder = open_to_continue(Path(path))

    try:
        config = folder.config
        require_fields(config, {"command"}, folder.path)
        command = str(config["command"])
        if command not in COMMANDS:
            raise unknown_name("resumable command", command, COMMANDS)
        restored, report = COMMANDS[command]
        if folder.result is not None:
            return report(folder)
        with underway(folder, progress, as_execution(workers)) as (shown, executor):
            check_version(folder)
            experiment = restored(folder)
            check_same(folder, experiment.config())
            done: Report = experiment.carry_out(folder, progress=shown, executor=executor)
    finally:
        folder.release()
    keep_page(done.run, done.tables(), done.sentence(), done.command())
    return done


def check_version(folder: RunFolder) -> None:
    """Raise `RunError` where another version of lossforge began a run.

    Its configuration may not load at all, so this comes before anything is made of it.
    """
    version = folder.config.get("version")
    if version != __version__:
        raise RunError(
            f"{folder.path} was begun by lossforge {version}, this is {__version__}; install that "
            "version, or begin anew with --overwrite"
        )
