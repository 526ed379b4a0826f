"""The page of a run, when asked for."""

from pathlib import Path
from typing import Any

from lossforge.errors import ConfigurationError, RunError, unknown_name
from lossforge.experiments.arguments import require_fields
from lossforge.experiments.experiment import Report
from lossforge.experiments.pages import PAGE, facts_of
from lossforge.experiments.resuming import COMMANDS
from lossforge.report import write_page
from lossforge.runs import RunFolder


def open_run(path: str | Path) -> Report:
    """Return the report of a complete run on disk; nothing is trained, nothing written.

    Args:
        path: the run's folder.

    Raises:
        RunError: there is no run, or it is not complete.
        FileFormatError: a file of it is damaged.
    """
    folder = RunFolder.open(Path(path))
    folder.verify()
    require_fields(folder.config, {"command"}, folder.path)
    command = str(folder.config["command"])
    if command not in COMMANDS:
        raise unknown_name("command with a report", command, COMMANDS)
    _, made = COMMANDS[command]
    return made(folder)


def report(run: str | Path | Report | Any, *, out: str | Path | None = None) -> Path:
    """Write a page about a run: one HTML file that needs no other.

    Does exactly what ``lossforge report`` does. Every run on disk ends with such a page.

    Args:
        run: the folder of a complete run, or what `search`, `train`, `compare` or `fewshot`
            returned.
        out: the HTML file; by default ``report.html`` in the run's folder.

    Returns:
        The file.

    Raises:
        LossforgeError: there is no run, it is not complete, or it is in memory and `out` is not
            given.
    """
    if not isinstance(run, str | Path | Report):
        raise ConfigurationError(
            f"the run is a {type(run).__name__}; give its folder, or what search() or another "
            "experiment returned"
        )
    found = run if isinstance(run, Report) else open_run(run)
    if out is None and found.path is None:
        raise ConfigurationError("a run in memory has no folder; give out=, an HTML file")
    path = Path(out) if out is not None else Path(str(found.path)) / PAGE
    if path.is_dir():
        raise RunError(f"{path} is a folder; give the name of an HTML file")
    write_page(facts_of(found.run, found.tables(), found.sentence(), found.command()), path)
    return path
