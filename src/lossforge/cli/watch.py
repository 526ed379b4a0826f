"""`lossforge watch`: how far a run is, from another terminal."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lossforge.cli.parsing import parse_options
from lossforge.cli.printing import print_as
from lossforge.experiments.tables import Form, Table
from lossforge.runs.status import Status
from lossforge.validation import require, require_in_range

NUMBERS = ("done", "total", "share", "seconds_left")
"""columns about the stage that is being worked on"""


@dataclass(frozen=True)
class WatchOptions:
    """Show how far the run in the folder RUN is, until it is complete or Ctrl-C.

    Only the files of the folder are read, so this works from another machine that sees them.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's folder"""
    interval: float = 2
    """seconds between updates"""
    once: tyro.conf.FlagCreatePairsOff[bool] = False
    """print the state once and end"""
    format: Form = "plain"
    """how to print the state, with --once: plain text, markdown, latex or csv for a table of one
    row, or json for programs, with the whole history and the result"""


def watch(words: list[str]) -> int:
    """Run `lossforge watch RUN`."""
    options = parse_options(WatchOptions, words, "lossforge watch")
    require_in_range("interval", options.interval, 0, exclude_low=True)
    require(
        options.once or options.format == "plain",
        f"--format {options.format} prints the state once; add --once",
    )
    if options.once:
        _print(Status.read(options.run), options.format)
        return 0
    # On use, like everywhere: help need not wait for rich.
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    status = Status.read(options.run)
    console = Console(highlight=False, markup=False)
    with Live(Text("\n".join(status.lines())), console=console, auto_refresh=False) as live:
        while not status.is_complete:
            time.sleep(options.interval)
            status = Status.read(options.run)
            live.update(Text("\n".join(status.lines())), refresh=True)
    return 0


def _print(status: Status, form: Form) -> None:
    if form == "plain":
        print("\n".join(status.lines()))
    else:
        print_as(form, [_table(status)], status.document())


def _table(status: Status) -> Table:
    """Return the status as a table of one row; what is not known is empty."""
    work, result = status.work or {}, status.result or {}
    about = (str(status.path), status.command, status.state, str(work.get("stage", "")))
    numbers = [*(work.get(name) for name in NUMBERS), *(result.get(k) for k in ("valid", "test"))]
    # A file that somebody edited may hold something else in place of a number.
    cells = (f"{value:.6g}" if isinstance(value, int | float) else "" for value in numbers)
    columns = ("run", "command", "state", "stage", *NUMBERS, "valid", "test")
    return Table("state of a run", columns, ((*about, *cells),), text_columns=4)
