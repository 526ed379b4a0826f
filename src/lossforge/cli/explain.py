"""`lossforge explain`: what a loss is and does."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from lossforge.analysis.explanation import Explanation
from lossforge.analysis.explanation import explain as explain_loss
from lossforge.analysis.portrait import draw_portrait
from lossforge.cli.fewshot import explain_run
from lossforge.cli.parsing import parse_options
from lossforge.extras import require_extra
from lossforge.files import read_json
from lossforge.losses.named import named


@dataclass(frozen=True)
class ExplainOptions:
    """Say what a loss does, which known loss it is nearest to, and what to beware of."""

    loss: tyro.conf.Positional[str]
    """a name from `lossforge list losses`, a loss file, a run that found one, or a few-shot run"""
    classes: int = 10
    """outputs on which a classification loss is looked at"""
    plots: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """write curves and forces as PNG and SVG into this folder"""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """print JSON for programs instead of text"""


def explain(words: list[str]) -> int:
    """Run `lossforge explain ...`."""
    options = parse_options(ExplainOptions, words, "lossforge explain")
    if options.plots is not None:
        require_extra("plots", "--plots")
    if is_few_shot(Path(options.loss)):
        explain_run(Path(options.loss), options.plots)
        return 0
    loss = named(options.loss)
    found = explain_loss(loss, options.classes)
    if options.json:
        print(json.dumps(found.document(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(found)
    if options.plots is not None:
        written = draw_portrait(loss, options.plots, options.classes)
        if not options.json:
            print(f"plots: {', '.join(map(str, written))}, and as SVG")
    return 0


def is_few_shot(path: Path) -> bool:
    """Tell whether a path is the folder of a few-shot run."""
    config = path / "config.json"
    return config.is_file() and read_json(config).get("command") == "fewshot"


def _print(found: Explanation) -> None:
    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, sentence in found.lines():
        table.add_row(label, sentence)
    if found.latex is not None:
        table.add_row("LaTeX", found.latex)
    for warning in found.warnings:
        table.add_row("[red]warning[/]", warning)
    console.print(table)
