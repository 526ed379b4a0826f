"""`lossforge landscape`: where training under different losses ends."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from lossforge.analysis.landscape import (
    draw_landscapes,
    draw_projections,
    penultimate,
    project,
    random_direction,
    surroundings,
)
from lossforge.cli.parsing import parse_options
from lossforge.errors import RunError
from lossforge.experiments.arguments import pick_device
from lossforge.extras import require_extra
from lossforge.losses import default_loss
from lossforge.methods import AdaLFL
from lossforge.methods.lesson import Lesson
from lossforge.models import resolve
from lossforge.progress import ProgressReporter
from lossforge.randomness import torch_generator
from lossforge.tasks import Split, load
from lossforge.training.full import Recipe
from lossforge.validation import require, require_in_range


@dataclass(frozen=True)
class LandscapeOptions:
    """Train a network under each loss and draw where it ends: surroundings, and features."""

    losses: tuple[str, ...]
    """what networks are trained under: names, loss files or runs; or adalfl"""
    task: str
    """what they learn: a name from `lossforge list tasks`"""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """folder of the pictures"""
    model: str = "mlp"
    """which networks: a name from `lossforge list models`"""
    steps: int = 1000
    """of training"""
    learning_rate: float = 0.01
    """of the network's optimizer"""
    seed: int = 0
    """of initialization, batches and directions"""
    span: float = 1.0
    """greatest multiple of the directions"""
    points: int = 21
    """along each direction"""
    rows: int = 500
    """of the training and of the test split that are looked at"""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """where data sets that come from files lie; by default LOSSFORGE_DATA"""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU if there is one"""


def landscape(words: list[str]) -> int:
    """Run `lossforge landscape ...`."""
    options = parse_options(LandscapeOptions, words, "lossforge landscape")
    require_extra("plots", "lossforge landscape")
    require(len(options.losses) > 0, "give at least one of --losses")
    require_in_range("rows", options.rows, 10)
    task = load(options.task, device=pick_device(options.device), data_dir=options.data_dir)
    resolve(options.model, task)
    recipe = replace(Recipe(), steps=options.steps, learning_rate=options.learning_rate)
    lessons = [Lesson(name, recipe, AdaLFL(warm_up_steps=500)) for name in options.losses]
    for lesson in lessons:
        lesson.check(task)
    usual = default_loss(task.kind)
    known, unknown = (_some(split, options.rows) for split in (task.train, task.test))
    found, projected = [], []
    console = Console(highlight=False)
    with ProgressReporter(f"landscapes of {options.task} with {options.model}") as reporter:
        for lesson in lessons:
            training = lesson.begin(task, options.model, options.seed, lambda *_: None)
            outcome = training.run(lambda: None, reporter.progress)
            if outcome.failure is not None:
                raise RunError(f"training under {lesson.loss} broke off: {outcome.failure}")
            draws = (torch_generator(options.seed, "direction", axis) for axis in (0, 1))
            first, second = (random_direction(training.model, draw) for draw in draws)
            name = Path(str(lesson.loss)).name
            around = surroundings(
                name,
                training.model,
                known,
                usual,
                (first, second),
                span=options.span,
                points=options.points,
            )
            found.append(around)
            if task.kind == "classification":
                projected.append((name, project(penultimate(training.model, unknown.inputs))))
            console.print(
                f"{name}: test {task.metric} {outcome.test:.4f}; {usual} at the weights "
                f"{around.line[len(around.line) // 2]:.4g}, half-way out {around.sharpness:+.4g}"
            )
    draw_landscapes(found, str(usual), options.out)
    if projected:
        draw_projections(projected, unknown.targets, task.outputs, options.out)
    console.print(f"pictures: {options.out}")
    return 0


def _some(split: Split, rows: int) -> Split:
    return Split(split.inputs[:rows], split.targets[:rows], split.rows[:rows])
