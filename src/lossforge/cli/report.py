"""`lossforge report`: a page about a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lossforge import experiments
from lossforge.cli.parsing import parse_options


@dataclass(frozen=True)
class ReportOptions:
    """Write a page about a complete run: one HTML file that needs no other."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """folder of the run"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """HTML file to write; by default report.html in the folder of the run"""


def report(words: list[str]) -> int:
    """Run `lossforge report RUN`."""
    options = parse_options(ReportOptions, words, "lossforge report")
    print(f"the page is {experiments.report(options.run, out=options.out)}")
    return 0
