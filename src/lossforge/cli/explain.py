"""`lossforge explain`: what a loss is and does."""

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lossforge import experiments
from lossforge.analysis.task_losses import draw_task_losses
from lossforge.cli.parsing import parse_options
from lossforge.cli.printing import print_as, terminal_width
from lossforge.experiments import ExplanationReport
from lossforge.experiments.fewshot_run import explain_few_shot
from lossforge.experiments.tables import Form
from lossforge.extras import require_extra
from lossforge.files import read_json


@dataclass(frozen=True)
class ExplainOptions:
    """Describe a loss: its gradients, the nearest known loss, and warnings."""

    loss: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="LOSS")]
    """a name from `lossforge list losses`, a loss file, a run that found one, or a few-shot run"""
    classes: int = 10
    """number of classes for which a classification loss is explained"""
    plots: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder for curves and gradients as PNG and SVG"""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """print JSON for programs; the same as --format json"""
    format: Form = "plain"
    """how to print the explanation: plain text, markdown, latex, csv or json"""


def explain(words: list[str]) -> int:
    """Run `lossforge explain ...`."""
    options = parse_options(ExplainOptions, words, "lossforge explain")
    if options.plots is not None:
        require_extra("plots", "--plots")
    form: Form = "json" if options.json else options.format
    if is_few_shot(Path(options.loss)):
        _explain_few_shot(Path(options.loss), options.plots, form)
        return 0
    report = experiments.explain(options.loss, classes=options.classes)
    if form == "plain":
        _print(report)
    else:
        print_as(form, [report.table()], report.document())
    if options.plots is not None:
        written = report.write_plots(options.plots)
        if form == "plain":
            print(f"plots: {', '.join(map(str, written))}, and as SVG")
    return 0


def is_few_shot(path: Path) -> bool:
    """Tell whether a path is the folder of a few-shot run."""
    config = path / "config.json"
    return config.is_file() and read_json(config).get("command") == "fewshot"


def _explain_few_shot(path: Path, plots: Path | None, form: Form) -> None:
    experiment, found = explain_few_shot(path)
    if form == "json":
        print(json.dumps({"slope_ratios": [each.slope_ratio for each in found]}, indent=2))
    else:
        variant, task = experiment.variants[0], experiment.task_name
        print(f"{variant} on {task}: the inner loss of {len(found)} meta-test tasks")
        for index, each in enumerate(found, 1):
            print(f"  task {index}: {each.slope_ratio:.3f} times as steep as the default loss")
    if plots is not None:
        draw_task_losses(found, experiment.task.kind, plots / "task_losses")
        if form != "json":
            print(f"plots: {plots / 'task_losses.png'}, and as SVG")


def _print(report: ExplanationReport) -> None:
    """Print labels beside sentences, which are folded where the terminal is narrow."""
    rows = report.table().rows
    label_width = max(len(label) for label, _ in rows) + 2
    for label, sentence in rows:
        print(
            textwrap.fill(
                sentence,
                max(40, terminal_width()),
                initial_indent=label.ljust(label_width),
                subsequent_indent=" " * label_width,
                break_on_hyphens=False,
            )
        )
