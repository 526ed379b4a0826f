"""A loss as a picture: its curves and slopes, beside the nearest known loss."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from lossforge.analysis.behavior import of_one_row, path
from lossforge.analysis.drawing import STYLES, new_figure, save_figure
from lossforge.analysis.nearest import Match, nearest
from lossforge.losses import Loss, default_loss
from lossforge.tasks.kinds import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 400
COLORS = ("#00429d", "#c23b22")


def draw_portrait(loss: Loss, folder: Path, classes: int = 10) -> list[Path]:
    """Write curves.png and force.png, and both as SVG.

    Args:
        loss: any.
        folder: of the files.
        classes: of the outputs (classification).
    """
    loss, classes = of_one_row(loss.double().requires_grad_(False), classes)
    match = nearest(loss, classes)[0]
    _draw_curves(loss, match, classes, folder / "curves")
    _draw_force(loss, classes, folder / "force")
    return [folder / f"{name}.png" for name in ("curves", "force")]


@runtime_checkable
class PerOutput(Protocol):
    """A loss that is a sum over the outputs of a function of (y, p)."""

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        """Return the loss of each output, shaped like `p` [B, C]."""


@final
class _Curves:
    """The loss of one output as a function of its prediction."""

    def __init__(self, kind: Kind, classes: int):
        self.classes, self.classifies = classes, kind.predicts_probabilities
        low, high = (0.005, 0.995) if self.classifies else (-3.0, 3.0)
        self.p = torch.linspace(low, high, POINTS, dtype=torch.double)
        self.targets = {"target, y = 1": 1.0, "non-target, y = 0": 0.0}
        if not self.classifies:
            self.targets = {"y = 0": 0.0}

    def of_loss(self, loss: Loss, target: float) -> Tensor:
        """Return a loss's curve for a target.

        Of a classification loss that is no sum over its outputs: that of an example, the other
        outputs being equal among themselves, whatever the target.
        """
        if not self.classifies:
            column = self.p[:, None]
            return loss.per_example(column, torch.full_like(column, target)).flatten().detach()
        p = self.p[:, None].expand(-1, self.classes)
        if isinstance(loss, PerOutput):
            return loss.elementwise(torch.full_like(p, target), p)[:, 0].detach()
        outputs = torch.zeros_like(p).contiguous()
        outputs[:, 0] = (self.p * (self.classes - 1) / (1 - self.p)).log()
        labels = torch.zeros(len(p), dtype=torch.long)
        return loss.per_example(outputs, labels).detach()


def _draw_curves(loss: Loss, match: Match, classes: int, stem: Path) -> None:
    curves = _Curves(loss.kind, classes)
    figure = new_figure(9, 4)
    values, slopes = figure.subplots(1, 2)
    nearest_loss = match.known_loss.double()
    for (label, target), color in zip(curves.targets.items(), COLORS, strict=False):
        ours = curves.of_loss(loss, target)
        known = match.factor * curves.of_loss(nearest_loss, target)
        for axes, drawn, other in (
            (values, ours, _beside(ours, known)),
            (slopes, _slope(ours, curves.p), _slope(known, curves.p)),
        ):
            axes.plot(curves.p, drawn, color=color, label=label)
            axes.plot(
                curves.p,
                other,
                STYLES[1],
                color=color,
                alpha=0.6,
                label=f"{match.name} x {match.factor:.3g}, {label}",
            )
    what = loss.kind.words.prediction
    values.set(title="loss", xlabel=what, ylabel="loss of one output")
    slopes.set(title="slope", xlabel=what, ylabel="derivative by p")
    _limit(slopes)
    for axes in (values, slopes):
        axes.grid(alpha=0.3)
        axes.axhline(0, color="black", linewidth=0.6)
    values.legend(fontsize="x-small")
    figure.suptitle(_title(loss), fontsize="medium")
    save_figure(figure, stem)


def _draw_force(loss: Loss, classes: int, stem: Path) -> None:
    save_figure(force_figure(loss, classes), stem)


def force_figure(loss: Loss, classes: int) -> "Figure":
    """Return the pull on the target's output beside the default loss's.

    Args:
        loss: any; it is changed to float64.
        classes: of the outputs (classification).
    """
    loss, classes = of_one_row(loss.double().requires_grad_(False), classes)
    figure = new_figure(6, 4)
    axes = figure.add_subplot()
    usual = default_loss(loss.kind)
    for each, style, label in ((loss, "-", "this loss"), (usual, "--", str(usual))):
        way = path(each, classes)
        axes.plot(way.position, way.force, style, label=label, color=COLORS[each is usual])
    axes.axhline(0, color="black", linewidth=0.6)
    if loss.kind.predicts_probabilities:
        axes.axvline(1 / classes, color="grey", linestyle=":", label="a guess")
    else:
        axes.set_xlim(-4, 4)
        inside = way.position.abs() <= 4
        both = [path(each, classes).force[inside] for each in (loss, usual)]
        axes.set_ylim(min(0.0, float(both[0].min())) - 0.2, float(torch.cat(both).max()) + 0.2)
    axes.set(xlabel=loss.kind.words.position, ylabel=loss.kind.words.pull)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    axes.set_title(_title(loss), fontsize="medium")
    return figure


def _beside(ours: Tensor, known: Tensor) -> Tensor:
    """Return the known curve moved to equal the other in the middle: a constant has no gradient."""
    return known + (ours - known)[POINTS // 2]


def _slope(values: Tensor, p: Tensor) -> Tensor:
    return torch.gradient(values, spacing=(p,))[0]


def _limit(axes: "Axes") -> None:
    """Keep a slope that goes to infinity from hiding everything else."""
    drawn = torch.cat([torch.as_tensor(line.get_ydata()) for line in axes.get_lines()])
    low, high = float(drawn.quantile(0.03)), float(drawn.quantile(0.97))
    margin = 0.15 * (high - low) + 1e-9
    axes.set_ylim(low - margin, high + margin)


def _title(loss: Loss, width: int = 90) -> str:
    text = str(loss)
    return text if len(text) <= width else f"{text[: width - 3]}..."
