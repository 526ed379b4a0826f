"""`lossforge train`: from options to the training of one network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lossforge import experiments
from lossforge.cli.display import Display
from lossforge.cli.parsing import parse_options, word_after
from lossforge.cli.printing import HOW_TO_PLOT, Printing
from lossforge.experiments import NewFolder, TrainingReport
from lossforge.experiments.arguments import Preset
from lossforge.experiments.paper import recipe_for
from lossforge.experiments.train_settings import PRESETS
from lossforge.experiments.units import in_original_units
from lossforge.extras import has_extra
from lossforge.methods import AdaLFL
from lossforge.methods.training_config import AdaptOn
from lossforge.training.full import Recipe


@dataclass(frozen=True)
class TrainOptions:
    """Train one network in full under any loss; validation data choose its weights; test once."""

    recipe: tyro.conf.OmitArgPrefixes[Recipe]
    adalfl: AdaLFL
    display: tyro.conf.OmitArgPrefixes[Display]
    printing: tyro.conf.OmitArgPrefixes[Printing]
    task: str
    """task that the network learns: a name from `lossforge list tasks`, or csv:PATH:TARGET"""
    loss: str = ""
    """loss to train under: a name from `lossforge list losses`, a loss file, a run that found one,
    adalfl, or an adaptive form from `lossforge list methods` such as adaptive:label_smoothing; by
    default cross_entropy or mse"""
    model: str = "mlp"
    """network that is trained: a name from `lossforge list models`, with options: mlp:width=100"""
    metric: str = ""
    """what performance is measured by, and the best weights are chosen by: a name from
    `lossforge list metrics`, such as f1 or auroc; by default error_rate or mse"""
    seed: int = 0
    """seed of all random numbers; the same seed gives the same network on the same machine"""
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
    """device of network and data: cpu, cuda, or auto for a GPU if there is one"""


def train(words: list[str]) -> int:
    """Run `lossforge train ...`."""
    preset = word_after("--preset", words) or "quick"
    recipe, adalfl = PRESETS[preset if preset in PRESETS else "quick"]
    recipe = recipe_for(preset, word_after("--task", words) or "", recipe)
    default = TrainOptions(
        recipe=recipe, adalfl=adalfl, display=Display(), printing=Printing(), task=tyro.MISSING
    )
    options = parse_options(TrainOptions, words, "lossforge train", default=default)
    report = experiments.train(
        options.task,
        options.loss or None,
        options.model,
        metric=options.metric or None,
        seed=options.seed,
        preset=options.preset,
        recipe=options.recipe,
        adalfl=options.adalfl,
        adapt_on=options.adapt_on,
        task_loss=options.task_loss or None,
        out=options.out or NewFolder(),
        overwrite=options.overwrite,
        data_dir=options.data_dir,
        device=options.device,
        progress=options.display.watching(),
    )
    options.printing.report(report, print_training)
    return 0


def print_training(report: TrainingReport) -> None:
    """Print a training's report."""
    result = report.result
    print(
        f"\n{result['loss']} on {result['task']} with {result['model']}: test {result['metric']} "
        f"{result['test']:.4f}{in_original_units(result)} "
        f"(validation {result['valid']:.4f} at step {result['step']}) in "
        f"{result['seconds']:.0f} s; the run is {report.path}"
    )
    if "learned" in result:
        learned = ", ".join(f"{name} {value:.3g}" for name, value in result["learned"].items())
        print(f"learned: {learned}; over time in {report.path}/adaptation.json")
    if result["loss"] == AdaLFL.name and not has_extra("plots"):
        print(f"the adaptation is in {report.path}/adaptation.json; {HOW_TO_PLOT}")
