"""`lossforge watch`: how far a run is, from another terminal."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lossforge.cli.parsing import parse_options
from lossforge.runs.status import Status
from lossforge.validation import require_in_range


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


def watch(words: list[str]) -> int:
    """Run `lossforge watch RUN`."""
    options = parse_options(WatchOptions, words, "lossforge watch")
    require_in_range("interval", options.interval, 0, exclude_low=True)
    if options.once:
        print("\n".join(Status.read(options.run).lines()))
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
