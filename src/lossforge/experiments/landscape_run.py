"""Where training under several losses ends: the surroundings of the weights, and the features."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from lossforge.analysis.landscape import (
    Surroundings,
    draw_landscapes,
    draw_projections,
    penultimate,
    project,
    random_direction,
    surroundings,
)
from lossforge.errors import RunError
from lossforge.experiments.arguments import (
    GivenLoss,
    GivenTask,
    LossLike,
    as_loss,
    as_task,
    model_name,
)
from lossforge.extras import require_extra
from lossforge.losses import default_loss
from lossforge.methods import AdaLFL
from lossforge.methods.training_config import TrainingConfig
from lossforge.models import Model
from lossforge.progress import ProgressReporter, stage_of
from lossforge.randomness import torch_generator
from lossforge.tasks import Split, TaskLike
from lossforge.training.full import FullTraining, Outcome, Recipe
from lossforge.validation import require, require_in_range, require_whole


@final
@dataclass(frozen=True)
class Ending:
    """Where training under one loss ended.

    Attributes:
        name: of the loss.
        test: the metric on test data.
        around: the default loss around the weights.
    """

    name: str
    test: float
    around: Surroundings


def landscape(
    losses: Sequence[LossLike],
    task: TaskLike,
    model: Model = "mlp",
    *,
    out: str | Path,
    steps: int = 1000,
    learning_rate: float = 0.01,
    seed: int = 0,
    span: float = 1.0,
    points: int = 21,
    rows: int = 500,
    data_dir: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
) -> list[Ending]:
    """Train a network under each loss and draw where it ends: surroundings, and features.

    Does exactly what ``lossforge landscape`` does.

    Args:
        losses: names with options, paths, losses, or "adalfl".
        task: a name from ``lossforge list tasks``, or a `lossforge.tasks.Task`.
        model: a name with options, or a function without arguments that returns a fresh network.
        out: a folder for the pictures.
        steps: of training.
        learning_rate: of the network's optimizer.
        seed: of initialization, batches and directions.
        span: largest multiple of the directions.
        points: along each direction; odd.
        rows: of the training and of the test split on which networks are evaluated.
        data_dir: where data sets that come from files are; by default LOSSFORGE_DATA.
        device: cpu, cuda, or auto: a GPU if there is one.
        progress: show progress on standard error.

    Raises:
        LossforgeError: an argument is wrong, or training diverged.
    """
    require_extra("plots", "lossforge landscape")
    require(len(losses) > 0, "give at least one of --losses")
    require_whole("rows", rows, 10)
    require_whole("seed", seed, 0)
    require_whole("points", points, 3)
    require(points % 2 == 1, f"points must be odd, not {points}")
    require_in_range("span", span, 0, exclude_low=True)
    given = as_task(task, device, data_dir)
    name = model_name(model, given.task)
    recipe = Recipe(steps=steps, learning_rate=learning_rate)
    found = [as_loss(loss, given.task.kind) for loss in losses]
    endings, projected = list[Ending](), []
    known, unknown = (_first(split, rows) for split in (given.task.train, given.task.test))
    default = default_loss(given.task.kind)
    with ProgressReporter(f"landscapes of {given.name} with {name}", shown=progress) as reporter:
        for loss in found:
            training, outcome = _train(loss, given, model, recipe, seed, reporter)
            draws = (torch_generator(seed, "direction", axis) for axis in (0, 1))
            first, second = (random_direction(training.model, draw) for draw in draws)
            label = Path(loss.name).name
            around = surroundings(
                label, training.model, known, default, (first, second), span=span, points=points
            )
            endings.append(Ending(label, outcome.test, around))
            if unknown.targets.dim() == 1:  # a label for each example
                projected.append(
                    (label, project(penultimate(training.model, unknown.inputs[0 : len(unknown)])))
                )
    draw_landscapes([ending.around for ending in endings], str(default), Path(out))
    if projected:
        draw_projections(projected, unknown.targets, given.task.outputs, Path(out))
    return endings


def _train(
    loss: GivenLoss,
    task: GivenTask,
    model: Model,
    recipe: Recipe,
    seed: int,
    reporter: ProgressReporter,
) -> tuple[FullTraining, Outcome]:
    config = TrainingConfig(loss.source, recipe, AdaLFL(warm_up_steps=500))
    training = config.begin(task.task, model, seed, stage_of(reporter, "warming up"))
    outcome = training.run(lambda: None, reporter.progress)
    if outcome.failure is not None:
        raise RunError(f"training under {loss.name} broke off: {outcome.failure}")
    return training, outcome


def _first(split: Split, rows: int) -> Split:
    return Split(split.inputs[:rows], split.targets[:rows], split.rows[:rows])
