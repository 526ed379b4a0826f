"""`lossforge export`: a loss as a file that needs no lossforge."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lossforge import __version__
from lossforge.analysis.export import export
from lossforge.cli.parsing import parse_options
from lossforge.errors import RunError
from lossforge.files import write_atomically
from lossforge.losses.named import named


@dataclass(frozen=True)
class ExportOptions:
    """Write a loss as a file that gives the same numbers without lossforge."""

    loss: tyro.conf.Positional[str]
    """a name from `lossforge list losses`, a loss file, or the run that found one"""
    to: Literal["torch", "python", "sympy", "latex"]
    """what the file is for"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """where it goes; by default to standard output"""


def export_loss(words: list[str]) -> int:
    """Run `lossforge export LOSS --to FORM`."""
    options = parse_options(ExportOptions, words, "lossforge export")
    loss = named(options.loss)
    text = export(loss, options.to, f"Exported by lossforge {__version__} from {options.loss}.")
    if options.out is None:
        print(text, end="" if text.endswith("\n") else "\n")
        return 0
    if options.out.exists():
        raise RunError(f"{options.out} exists; choose another --out")
    write_atomically(options.out, text if text.endswith("\n") else f"{text}\n")
    return 0
