"""`lossforge report`: a page about a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lossforge import experiments
from lossforge.cli.parsing import parse_options
from lossforge.cli.printing import print_as
from lossforge.experiments.tables import Form, Table


@dataclass(frozen=True)
class ReportOptions:
    """Write a page about a complete run: one HTML file that needs no other."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """folder of the run"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """HTML file to write; by default report.html in the folder of the run"""
    format: Form = "plain"
    """how to print where the page is: plain text, markdown, latex, csv or json"""


def report(words: list[str]) -> int:
    """Run `lossforge report RUN`."""
    options = parse_options(ReportOptions, words, "lossforge report")
    page = str(experiments.report(options.run, out=options.out))
    if options.format == "plain":
        print(f"the page is {page}")
    else:
        table = Table("page", ("run", "page"), ((str(options.run), page),), text_columns=2)
        print_as(options.format, [table], {"run": str(options.run), "page": page})
    return 0
