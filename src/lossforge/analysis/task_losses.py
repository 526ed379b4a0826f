"""What a meta-learned inner loss does to a row of each task: NPBML's loss, task by task."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from lossforge.analysis.drawing import (
    INK,
    NARROW,
    STYLES,
    axes_of,
    legend_below,
    new_figure,
    save_figure,
    title,
)
from lossforge.errors import ConfigurationError
from lossforge.methods.npbml.learner import Learner
from lossforge.methods.npbml.loss import task_loss
from lossforge.randomness import torch_generator
from lossforge.tasks.episodes import EpisodeSpec, FewShotTask
from lossforge.tasks.kinds import Kind

POINTS = 61
RANGE = 6.0


@final
@dataclass(frozen=True)
class TaskLoss:
    """The inner loss of one more support row, beside the task's own rows.

    Attributes:
        position: the logit of the row's class while the others are 0; in regression the error.
        default: cross-entropy or squared error there.
        learned: with the inductive term added, which the task's rows modulate.
    """

    position: list[float]
    default: list[float]
    learned: list[float]

    @property
    def slope_ratio(self) -> float:
        """The learned loss's fall over the default one's, from end to end of the first half."""
        middle = POINTS // 2
        known = self.default[0] - self.default[middle]
        return (self.learned[0] - self.learned[middle]) / known


def task_losses(
    learner: Learner, task: FewShotTask, shape: EpisodeSpec, seed: int, count: int = 5
) -> list[TaskLoss]:
    """Return the inner loss of some meta-test tasks.

    Args:
        learner: meta-trained, with an inductive term.
        task: where episodes come from.
        shape: of every episode.
        seed: draws them.
        count: how many.

    Raises:
        ConfigurationError: the learner has no inductive term.
    """
    if learner.loss.inductive is None:
        raise ConfigurationError(
            "this method learns no loss of labeled predictions; explain npbml or maml_inductive"
        )
    generator = torch_generator(seed, "explained tasks")
    found = []
    for _ in range(count):
        episode = task.pools["test"].draw(shape, generator)
        with torch.no_grad():
            outputs = learner.outputs(learner.begin(episode).parameters, episode.support)
            found.append(_task_loss(learner, outputs, episode.support_targets))
    return found


def _task_loss(learner: Learner, outputs: Tensor, targets: Tensor) -> TaskLoss:
    assert learner.loss.inductive is not None
    grid = torch.linspace(-RANGE, RANGE, POINTS)
    default, learned = [], []
    for position in grid:
        row = torch.zeros_like(outputs[:1])
        row[0, 0] = position
        target = torch.zeros_like(targets[:1])
        seen = learner.loss.seen(torch.cat([outputs, row]), torch.cat([targets, target]))
        known = task_loss(row, target, learner.kind)
        default.append(float(known))
        learned.append(float(known + learner.loss.inductive.by_row(seen)[-1]))
    return TaskLoss(grid.tolist(), default, learned)


def draw_task_losses(found: Sequence[TaskLoss], kind: Kind, stem: Path) -> None:
    """Write the curves of some tasks as PNG and SVG; `stem` is without ending."""
    figure = new_figure(NARROW, 3.6)
    (axes,) = axes_of(figure)
    axes.plot(
        found[0].position, found[0].default, color=INK, label="the default loss",
        linewidth=5.5, alpha=0.3,
    )  # fmt: skip
    for index, each in enumerate(found):
        moved = each.default[POINTS // 2] - each.learned[POINTS // 2]
        shown = [value + moved for value in each.learned]
        style = STYLES[index % len(STYLES)]
        axes.plot(each.position, shown, style, label=f"learned, task {index + 1}")
    axes.set(xlabel=kind.words.row, ylabel="inner loss of one row")
    title(axes, "the learned loss, task by task")
    legend_below(figure, axes)
    save_figure(figure, stem)
