"""`lossforge compare`: from options to a comparison of losses."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lossforge import experiments
from lossforge.cli.display import Display
from lossforge.cli.parsing import parse_options, word_after
from lossforge.cli.printing import HOW_TO_PLOT, Printing, print_tables, terminal_width
from lossforge.experiments import ComparisonReport, NewFolder
from lossforge.experiments.arguments import Preset
from lossforge.experiments.grid import Tune
from lossforge.experiments.measured import direction
from lossforge.experiments.paper import recipe_for
from lossforge.experiments.train_settings import PRESETS
from lossforge.extras import has_extra
from lossforge.methods import AdaLFL
from lossforge.methods.training_config import AdaptOn
from lossforge.searching.executors import Execution
from lossforge.training.full import Recipe


@dataclass(frozen=True)
class CompareOptions:
    """Train networks under several losses from the same seeds; test each once; compare in pairs."""

    recipe: tyro.conf.OmitArgPrefixes[Recipe]
    adalfl: AdaLFL
    execution: tyro.conf.OmitArgPrefixes[Execution]
    display: tyro.conf.OmitArgPrefixes[Display]
    printing: tyro.conf.OmitArgPrefixes[Printing]
    losses: tuple[str, ...]
    """losses to compare: names from `lossforge list losses`, loss files, runs that found one, or
    adalfl; the others are compared with the first, or with the best tuned handcrafted loss where
    learning rates are tuned"""
    task: tuple[str, ...]
    """one or more names from `lossforge list tasks`; they may differ from the task that a loss was
    learned on"""
    model: tuple[str, ...] = ("mlp",)
    """one or more names from `lossforge list models`, with options: mlp:width=100"""
    metric: str = ""
    """what performance is measured by: a name from `lossforge list metrics`, such
    as f1 or auroc; by default error_rate or mse"""
    seeds: int = 5
    """number of seeds: networks trained under each loss, on each task"""
    seed: int = 0
    """first seed; the others count up from it"""
    tune: Tune = "none"
    """add entries whose learning rate is tuned on validation data: for the handcrafted losses, or
    for all; a learned loss must not win only by rescaling the step"""
    factors: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    """multiples of --learning-rate that tuning tries"""
    tuning_seeds: int = 2
    """networks trained for each learning rate that tuning tries"""
    preset: Preset = "quick"
    """quick takes minutes on two cores, paper has the published steps; sets the defaults of the
    other options"""
    adapt_on: AdaptOn = "valid"
    """rows that an adaptive loss learns from: valid for held-out rows, train for training rows
    drawn anew"""
    task_loss: str = ""
    """loss that an adaptive loss lowers on those rows: a name from `lossforge list losses`, or
    metric for the smooth form of --metric; by default cross_entropy or mse, and for adaptive:...
    calibrated_cross_entropy or mse"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder of the run; by default a new one under runs/"""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """discard the run that the folder of --out holds"""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder of data sets that come from files; by default that of LOSSFORGE_DATA"""
    device: str = "auto"
    """device of networks and data: cpu, cuda, or auto for a GPU if there is one"""
    threads: int = 1
    """threads of PyTorch in each process; another number changes the last bits of results"""


def compare(words: list[str]) -> int:
    """Run `lossforge compare ...`."""
    preset = word_after("--preset", words) or "quick"
    recipe, adalfl = PRESETS[preset if preset in PRESETS else "quick"]
    recipe = recipe_for(preset, word_after("--task", words) or "", recipe)
    default = CompareOptions(
        recipe,
        adalfl,
        Execution("auto"),
        Display(),
        Printing(),
        losses=tyro.MISSING,
        task=tyro.MISSING,
    )
    options = parse_options(CompareOptions, words, "lossforge compare", default=default)
    report = experiments.compare(
        options.losses,
        options.task,
        options.model,
        metric=options.metric or None,
        seeds=options.seeds,
        seed=options.seed,
        tune=options.tune,
        factors=options.factors,
        tuning_seeds=options.tuning_seeds,
        preset=options.preset,
        recipe=options.recipe,
        adalfl=options.adalfl,
        adapt_on=options.adapt_on,
        task_loss=options.task_loss,
        out=options.out or NewFolder(),
        overwrite=options.overwrite,
        data_dir=options.data_dir,
        device=options.device,
        threads=options.threads,
        workers=options.execution,
        progress=options.display.watching(),
    )
    options.printing.report(report, print_comparison)
    return 0


def print_comparison(report: ComparisonReport) -> None:
    """Print a comparison's tables."""
    result = report.result
    print_tables(report.tables())
    rivals = dict.fromkeys(line["against"]["rival"] for line in result["lines"] if line["against"])
    rival = next(iter(rivals), None) if len(rivals) < 2 else "the rival of each task"
    against = f"differences are from {rival}, paired by seed; " if rival else ""
    curves = "curves beside it" if has_extra("plots") else f"no curves: {HOW_TO_PLOT}"
    about = (
        f"{direction(result)}; {against}p is Wilcoxon's, and Holm's correction is over all tests; "
        "rates with * are tuned on validation data."
    )
    print(f"\n{textwrap.fill(about, terminal_width())}")
    print(f"Tables are in {report.path}/report.md; {curves}; {result['seconds']:.0f} s.")
