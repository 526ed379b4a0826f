"""`lossforge export`: a loss as a file that needs no lossforge."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lossforge import experiments
from lossforge.cli.parsing import parse_options
from lossforge.experiments.explain_run import ExportForm


@dataclass(frozen=True)
class ExportOptions:
    """Write a loss as a file that gives the same numbers without lossforge."""

    loss: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="LOSS")]
    """a name from `lossforge list losses`, a loss file, or the run that found one"""
    to: ExportForm
    """format of the file: torch, python or sympy for code, latex for the formula, script for a
    training script of the run that found the loss"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """file to write; by default standard output"""


def export_loss(words: list[str]) -> int:
    """Run `lossforge export LOSS --to FORM`."""
    options = parse_options(ExportOptions, words, "lossforge export")
    text = experiments.export(options.loss, options.to, out=options.out)
    if options.out is None:
        print(text, end="")
    return 0
