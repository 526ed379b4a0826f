"""A loss as a picture: its curves and slopes, beside the nearest known loss."""

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lossforge.analysis.behavior import of_one_row, path
from lossforge.analysis.curves import ERRORS, Curve, curves_of
from lossforge.analysis.drawing import (
    COLORS,
    INK,
    NARROW,
    SOFT,
    WIDE,
    axes_of,
    legend_below,
    new_figure,
    save_figure,
    shorten_title,
    title,
)
from lossforge.analysis.nearest import Match, nearest
from lossforge.losses import Loss, default_loss

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BENEATH: dict[str, Any] = {"linewidth": 5.5, "alpha": 0.3, "solid_capstyle": "butt"}
"""how a reference is drawn: broad and pale, so that a loss on top of it does not hide it"""


def draw_portrait(loss: Loss, folder: Path, classes: int = 10) -> list[Path]:
    """Write curves.png and force.png, and both as SVG.

    Args:
        loss: any.
        folder: of the files.
        classes: of the outputs (classification).
    """
    save_figure(curves_figure(loss, classes), folder / "curves")
    save_figure(force_figure(loss, classes), folder / "force")
    return [folder / f"{name}.png" for name in ("curves", "force")]


def curves_figure(loss: Loss, classes: int) -> "Figure":
    """Return the values and slopes of a loss, on top of those of the nearest known loss.

    Args:
        loss: any.
        classes: of the outputs (classification).
    """
    loss, classes = of_one_row(deepcopy(loss).double().requires_grad_(False), classes)
    match = nearest(loss, classes)[0]
    figure = new_figure(WIDE, 3.7)
    values, slopes = axes_of(figure, 2)
    own, known = curves_of(loss, classes), _curves_beside(loss, match, classes)
    for curve, reference, color in zip(own, known, COLORS, strict=False):
        told = f", {curve.name}" if len(own) > 1 else ""
        name = f"{shorten_title(match.name)} × {match.factor:.3g}{told}"  # noqa: RUF001
        for axes, part in ((values, _centered), (slopes, _slope)):
            if reference is not None:
                label = name
                axes.plot(
                    reference.p, match.factor * part(reference), color=color, label=label, **BENEATH
                )
            axes.plot(curve.p, part(curve), color=color, label=f"this loss{told}")
    what = loss.kind.words.prediction
    title(values, "value, moved to be 0 in the middle")
    title(slopes, "slope")
    values.set(xlabel=what, ylabel="loss of one output")
    slopes.set(xlabel=what, ylabel="derivative by p")
    for axes in (values, slopes):
        _limit(axes)
        axes.axhline(0, color=SOFT, linewidth=0.8)
    legend_below(figure, values)
    figure.suptitle(shorten_title(str(loss), 84), fontsize=10, color=INK)
    return figure


def _curves_beside(loss: Loss, match: Match, classes: int) -> list[Curve | None]:
    """Return the nearest loss's curves for the same predictions, None where it has none there.

    A handcrafted loss is no sum over its outputs: where the loss is one, it is compared by what an
    example's target does alone.
    """
    own, known = curves_of(loss, classes), curves_of(match.known_loss.double(), classes)
    return [*known, *([None] * (len(own) - len(known)))]


def force_figure(loss: Loss, classes: int) -> "Figure":
    """Return the pull on the target's output, on top of the default loss's.

    Args:
        loss: any.
        classes: of the outputs (classification).
    """
    loss, classes = of_one_row(deepcopy(loss).double().requires_grad_(False), classes)
    figure = new_figure(NARROW, 3.3)
    (axes,) = axes_of(figure)
    default = default_loss(loss.kind)
    known, own = path(default, classes), path(loss, classes)
    axes.plot(known.position, known.force, color=INK, label=str(default), **BENEATH)
    axes.plot(own.position, own.force, color=COLORS[0], label="this loss")
    axes.axhline(0, color=SOFT, linewidth=0.8)
    words = loss.kind.words
    axes.set(xlabel=words.position, ylabel=words.pull)
    if loss.kind.predicts_probabilities:
        label = f"equal probabilities, 1/{classes}"
        axes.axvline(1 / classes, color=SOFT, linewidth=1, linestyle=":", label=label)
    else:
        axes.set_xlim(-ERRORS, ERRORS)
        inside = own.position.abs() <= ERRORS
        both = [each.force[inside] for each in (own, known)]
        axes.set_ylim(min(0.0, float(both[0].min())) - 0.2, float(torch.cat(both).max()) + 0.2)
    axes.legend(fontsize=8, frameon=False)
    title(axes, shorten_title(str(loss), 60))
    return figure


def _centered(curve: Curve) -> Tensor:
    """Return the values, moved to be 0 in the middle: a constant teaches nothing."""
    return curve.value - curve.value[len(curve.p) // 2]


def _slope(curve: Curve) -> Tensor:
    return curve.slope


def _limit(axes: "Axes") -> None:
    """Keep what goes to infinity from hiding everything else."""
    drawn = torch.cat([torch.as_tensor(line.get_ydata()) for line in axes.get_lines()])
    low, high = float(drawn.quantile(0.03)), float(drawn.quantile(0.97))
    margin = 0.15 * (high - low) + 1e-9
    axes.set_ylim(low - margin, high + margin)
