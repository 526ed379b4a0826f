"""What all experiments share: where a run goes, how it is carried out, and its report."""

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, final

from lossforge.errors import ConfigurationError, LossforgeError, RunError
from lossforge.experiments.pages import keep_page
from lossforge.experiments.tables import Table
from lossforge.experiments.watching import Progress, as_watching
from lossforge.files import describe_os_error
from lossforge.losses import Loss
from lossforge.methods import State
from lossforge.progress import Shown
from lossforge.runs import MemoryRun, Run, RunFolder, check_free, resume_command
from lossforge.runs.watcher import Watcher
from lossforge.searching.executors import (
    Execution,
    Executor,
    OutOfTime,
    limited_threads,
    limited_time,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

DIFFERENCES = {"version": "version of lossforge", "losses": "content of its losses"}
"""what a field of the configuration is called where it differs"""


class Report(ABC):
    """The results of an experiment.

    Attributes:
        run: on disk or in memory.
        result: what ``result.json`` holds.

    Args:
        run: complete.
    """

    def __init__(self, run: Run):
        if run.result is None:
            how = "" if run.path is None else f"; go on with: {resume_command(run.path)}"
            raise RunError(f"{run.path} is not complete{how}")
        self.run, self.result = run, run.result

    @property
    def path(self) -> Path | None:
        """The run's folder; None for a run in memory."""
        return self.run.path

    @abstractmethod
    def tables(self) -> list[Table]:
        """Return the results as tables."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Return the results as rows of plain data, one a loss, method or step."""

    @abstractmethod
    def plot(self) -> "Figure":
        """Return a figure of the results; a notebook shows it, `savefig` writes it."""

    def sentence(self) -> str:
        """Return what the tests of the experiment say, as a sentence; empty for nothing."""
        return ""

    def command(self) -> str | None:
        """Return what begins the run again, as it is typed into a shell.

        None for a run that was begun from Python with objects, which no command can name.
        """
        config = self.run.config
        objects = ("given", "loss_objects", "own_metric")
        return None if any(map(config.get, objects)) else self._command(config)

    def _command(self, config: State) -> str | None:
        """Return the command of a configuration that names everything."""
        return None

    def to_dataframe(self) -> "DataFrame":
        """Return `rows` as a pandas data frame.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        from lossforge.extras import require_extra

        require_extra("tables", "a data frame")
        from pandas import DataFrame

        return DataFrame(self.rows())

    def _repr_html_(self) -> str:
        return "".join(table.html() for table in self.tables())


ReportT = TypeVar("ReportT", bound=Report)


class Experiment(ABC, Generic[ReportT]):
    """Work that a configuration determines and that a run can resume."""

    command: ClassVar[str]

    @abstractmethod
    def config(self) -> State:
        """Return the configuration, as plain data."""

    @abstractmethod
    def default_name(self) -> str:
        """Return the name of the run's folder where the user gives none."""

    def objects(self) -> dict[str, Loss]:
        """Return the losses that were given as objects, by name."""
        return {}

    @abstractmethod
    def carry_out(self, run: Run, *, progress: Shown, executor: Executor) -> ReportT:
        """Do what is left of a run and complete it.

        Args:
            run: begun.
            progress: show progress on standard error.
            executor: computes what may be computed side by side; no result depends on it.
        """


@final
@dataclass(frozen=True)
class NewFolder:
    """The first of UNDER/NAME, UNDER/NAME-2, ... that does not exist.

    Attributes:
        under: the folder of the runs.
    """

    under: Path = field(default=Path("runs"))

    def make(self, name: str) -> Path:
        """Make the folder of a run of that name, and return it; no two processes get the same."""
        first = self.under / re.sub(r"[^\w.-]+", "_", name)
        later = (first.with_name(f"{first.name}-{i}") for i in count(2))
        return next(path for path in chain([first], later) if _is_made(path))


def _is_made(path: Path) -> bool:
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        if not os.path.lexists(path):
            raise  # what is in the way is above it, such as a link that leads nowhere
        return False
    return True


Out = str | Path | NewFolder | None
"""a run's folder, a new one, or none"""


@final
@dataclass(frozen=True)
class Destination:
    """Where a run goes, and whether it shows progress.

    Attributes:
        out: the run's folder; `NewFolder` for a new one; None writes nothing.
        overwrite: discard the run that the folder holds.
        resume: continue the run that the folder holds, if its configuration is the same.
        progress: show progress on standard error.
        execution: where trainings run.
    """

    out: Out = None
    overwrite: bool = False
    resume: bool = False
    progress: Progress = True
    execution: Execution = field(default=Execution())

    def __post_init__(self) -> None:
        """Refuse a folder that a run cannot have, before anything is computed.

        Raises:
            RunError: the folder holds another run, or other files.
        """
        if not isinstance(self.out, str | Path | NewFolder | None):
            raise ConfigurationError(f"out must be the path of a folder, not {self.out!r}")
        if self.resume and not isinstance(self.out, str | Path):
            raise ConfigurationError("resume=True needs out=, the folder of the run to continue")
        if isinstance(self.out, str | Path) and not self._resumes(Path(self.out)):
            check_free(Path(self.out), overwrite=self.overwrite)

    def _resumes(self, path: Path) -> bool:
        return self.resume and (path / "config.json").is_file()

    def open(self, experiment: Experiment[Any]) -> Run:
        """Return the run of an experiment, begun or to be continued.

        Raises:
            RunError: the folder holds a run of another configuration.
        """
        config = experiment.config()
        if self.out is None:
            return MemoryRun(config)
        out = self.out
        path = out.make(experiment.default_name()) if isinstance(out, NewFolder) else Path(out)
        if not self._resumes(path):
            losses = experiment.objects().values()
            return RunFolder.claim(path, config, overwrite=self.overwrite, losses=losses)
        folder = open_to_continue(path)
        try:
            check_same(folder, config)
        except LossforgeError:
            folder.release()
            raise
        return folder


def perform(
    experiment: Experiment[ReportT],
    report: Callable[[Run], ReportT],
    destination: Destination,
) -> ReportT:
    """Carry out an experiment and return its report.

    Args:
        experiment: to carry out.
        report: makes the report of a run that is complete already.
        destination: where the run goes.

    Raises:
        KeyboardInterrupt: with what to do next as its text, where the run is on disk.
        RunError: a file of the run cannot be written; says how to go on.
    """
    run = destination.open(experiment)
    if run.result is not None:
        run.release()
        return report(run)
    with underway(run, destination.progress, destination.execution) as (shown, executor):
        done = experiment.carry_out(run, progress=shown, executor=executor)
    keep_page(done.run, done.tables(), done.sentence(), done.command())
    return done


@contextmanager
def underway(
    run: Run, progress: Progress, execution: Execution
) -> Iterator[tuple[Shown, Executor]]:
    """Open what a run needs while it is carried out; in the end, give its lock back.

    What stops it, Ctrl-C or a file that cannot be written, says how to go on.

    Args:
        run: begun.
        progress: show progress on standard error, and pass it to loggers.
        execution: where trainings run, and for how long.

    Yields:
        Whether progress is shown, and what computes side by side.
    """
    watchers = list[Watcher]()
    try:
        watching = as_watching(progress)
        for make_watcher in watching.loggers:
            watchers.append(make_watcher(run))
            run.watch(watchers[-1])
        # Of runs that older versions began, nobody knows.
        threads = run.config.get("threads")
        with (
            limited_time(execution.max_time),
            limited_threads(threads),
            execution.open(threads) as executor,
        ):
            yield watching.shown, executor
    except KeyboardInterrupt as stop:
        if run.path is not None:
            why = "the time is up" if isinstance(stop, OutOfTime) else "interrupted"
            stop.args = (f"{why}; go on with: {resume_command(run.path)}",)
        raise
    except OSError as error:
        if run.path is None or isinstance(error, LossforgeError):
            raise
        raise RunError(
            f"{describe_os_error(error)}; all up to the last checkpoint is kept; go on with: "
            f"{resume_command(run.path)}"
        ) from None
    finally:
        for watcher in watchers:
            watcher.close()
        run.release()


def open_to_continue(path: Path) -> RunFolder:
    """Open the folder of a run that is to be continued, checked, and locked unless it is complete.

    Raises:
        RunError: there is no run, its configuration was changed, or another process works on it.
        FileFormatError: a file of the run is damaged.
    """
    folder = RunFolder.open(path)
    folder.verify()
    if folder.result is None:
        folder.lock()
    else:
        folder.tidy()
    return folder


def announce(title: str, run: Run) -> str:
    """Return a run's title with its folder, if it has one."""
    return title if run.path is None else f"{title}; the run is {run.path}"


def _differs(saved: object, now: object) -> bool:
    """Compare settings; what a run did not know when it was begun has its default now."""
    if isinstance(saved, dict) and isinstance(now, dict):
        return not saved.keys() <= now.keys() or any(_differs(saved[k], now[k]) for k in saved)
    return saved != now


def check_same(folder: RunFolder, config: State) -> None:
    """Refuse to continue a run that would now be another: nothing is mixed in silence.

    Args:
        folder: of the run.
        config: what it would be begun with now.

    Raises:
        RunError: settings, version, data or the content of a loss differ; names them.
    """
    saved = folder.config
    now = json.loads(json.dumps(config))
    differ = sorted(key for key in now if key in saved and _differs(saved[key], now[key]))
    if differ:
        told = ", ".join(DIFFERENCES.get(key, key) for key in differ)
        raise RunError(
            f"{folder.path} holds a run of another {told}; restore what it was begun with, or "
            "begin anew with --overwrite or another --out"
        )
