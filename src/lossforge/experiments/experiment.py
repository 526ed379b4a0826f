"""What all experiments share: where a run goes, how it is carried out, and its report."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, final

from lossforge.errors import ConfigurationError, RunError
from lossforge.experiments.tables import Table
from lossforge.losses import Loss, load, save
from lossforge.methods import State
from lossforge.runs import MemoryRun, Run, RunFolder, check_free

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

LOSSES = "losses"
"""the folder of a run that holds the losses that were given as objects"""


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
            raise RunError(f"{run.path} is not complete; continue it with lossforge resume")
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
    def carry_out(self, run: Run, *, progress: bool) -> ReportT:
        """Do what is left of a run and complete it."""


@final
@dataclass(frozen=True)
class NewFolder:
    """The first of UNDER/NAME, UNDER/NAME-2, ... that does not exist.

    Attributes:
        under: the folder of the runs.
    """

    under: Path = field(default=Path("runs"))

    def path(self, name: str) -> Path:
        """Return the folder of a run of that name."""
        first = self.under / re.sub(r"[^\w.-]+", "_", name)
        later = (first.with_name(f"{first.name}-{i}") for i in count(2))
        return next(path for path in chain([first], later) if not path.exists())


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
    """

    out: Out = None
    overwrite: bool = False
    resume: bool = False
    progress: bool = True

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
        path = out.path(experiment.default_name()) if isinstance(out, NewFolder) else Path(out)
        if self._resumes(path):
            folder = RunFolder.open(path)
            _check_same(folder.config, config, path)
            return folder
        folder = RunFolder.create(path, config, overwrite=self.overwrite)
        for index, loss in enumerate(experiment.objects().values()):
            save(loss, path / LOSSES / f"{index}.json")
        return folder


def perform(
    experiment: Experiment[ReportT],
    report: Callable[[Run], ReportT],
    destination: Destination,
) -> ReportT:
    """Carry out an experiment and return its report.

    Raises:
        KeyboardInterrupt: with what to do next as its text, where the run is on disk.
    """
    return conclude(
        destination.open(experiment), lambda: experiment, report, progress=destination.progress
    )


def conclude(
    run: Run,
    make: Callable[[], Experiment[ReportT]],
    report: Callable[[Run], ReportT],
    *,
    progress: bool,
) -> ReportT:
    """Carry out what is left of a run and return its report.

    Args:
        run: begun, and perhaps complete.
        make: returns the experiment; not called for a run that is complete.
        report: makes the report of a complete run.
        progress: show progress on standard error.
    """
    if run.result is not None:
        return report(run)
    try:
        return make().carry_out(run, progress=progress)
    except KeyboardInterrupt:
        if run.path is None:
            raise
        raise KeyboardInterrupt(f"interrupted; go on with: lossforge resume {run.path}") from None


def saved_losses(config: State, path: Path) -> dict[str, Loss]:
    """Return the losses that a run was given as objects, by name."""
    names = config.get("loss_objects", ())
    return {name: load(path / LOSSES / f"{i}.json") for i, name in enumerate(names)}


def announce(title: str, run: Run) -> str:
    """Return a run's title with its folder, if it has one."""
    return title if run.path is None else f"{title}; the run is {run.path}"


def _check_same(saved: State, config: State, path: Path) -> None:
    differ = [key for key in config if saved.get(key) != config[key]]
    if differ:
        raise RunError(
            f"{path} holds a run of another {', '.join(sorted(differ))}; repeat the call that "
            "began it, or choose another out"
        )
