"""What an adaptive loss was over the time of a training: curves, learning rate, smoothing.

Source: thesis, ch. 6: the loss acts as a schedule of the learning rate, as early stopping where it
becomes flat, and as label smoothing that adapts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch

from lossforge.analysis.behavior import path, rest_point
from lossforge.analysis.drawing import (
    COLORS,
    INK,
    SOFT,
    WIDE,
    axes_of,
    new_figure,
    save_figure,
    title,
    widen,
)
from lossforge.losses import NeuralLoss
from lossforge.methods.adalfl import LossSnapshot
from lossforge.tasks.kinds import Kind, as_kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 60
LINES = 8
"""curves in a picture, evenly over the training"""


@final
@dataclass(frozen=True)
class LossCurves:
    """An adaptive loss at one step of training.

    Attributes:
        step: of training.
        factor: its gradient in multiples of the default loss's, along the latter.
        smoothing: the label smoothing ξ that comes to rest where it does; None where it does not
            come to rest, or in regression.
        p: predictions, from 0 to 1 (classification), or errors from -3 to 3.
        target: the loss of an output whose target is 1 (0 in regression), at `p`.
        non_target: the loss of an output whose target is 0; empty in regression.
    """

    step: int
    factor: float
    smoothing: float | None
    p: list[float]
    target: list[float]
    non_target: list[float]


def trace_of(moments: Sequence[LossSnapshot], classes: int) -> list[LossCurves]:
    """Return what a loss was over time.

    Args:
        moments: of a loss network, kept by `AdaLFL` with `record_every`.
        classes: outputs of the network.
    """
    return [_curves(moment, classes) for moment in moments]


def _curves(moment: LossSnapshot, classes: int) -> LossCurves:
    loss = moment.loss.for_kind(moment.loss.kind.row_kind).double()
    assert isinstance(loss, NeuralLoss)
    classifies = loss.kind.predicts_probabilities
    low, high = (0.005, 0.995) if classifies else (-3.0, 3.0)
    p = torch.linspace(low, high, POINTS, dtype=torch.double)
    wide = p[:, None].expand(-1, max(2, classes))  # a loss may depend on how many there are

    def curve(target: float) -> list[float]:
        values: list[float] = loss.elementwise(torch.full_like(wide, target), wide)[:, 0].tolist()
        return values

    smoothing = None
    if classifies and classes > 1:
        rest = rest_point(path(loss, classes))
        smoothing = None if rest is None else (1 - rest) * classes / (classes - 1)
    return LossCurves(
        moment.step,
        moment.factor,
        smoothing,
        p.tolist(),
        curve(1.0 if classifies else 0.0),
        curve(0.0) if classifies else [],
    )


def draw_adaptation(trace: Sequence[LossCurves], kind: Kind | str, stem: Path) -> None:
    """Write curves over time, learning-rate factor and smoothing as PNG and SVG.

    Args:
        trace: at least one.
        kind: of the task.
        stem: of the files, without ending.
    """
    save_figure(adaptation_figure(trace, kind), stem)


def adaptation_figure(trace: Sequence[LossCurves], kind: Kind | str) -> "Figure":
    """Return how a loss changed: its curves, and what it is as a learning rate and a smoothing.

    Curves are shown as differences from the first, in units of its range: what changes little is
    not stretched to fill the picture.

    Args:
        trace: at least one.
        kind: of the task.
    """
    from matplotlib.ticker import PercentFormatter

    kind = as_kind(kind)
    classifies = kind.predicts_probabilities
    names = ["target, y = 1", "non-target, y = 0"] if classifies else ["y = 0"]
    figure = new_figure(2 * WIDE if classifies else 1.5 * WIDE, 3.3)
    panels = axes_of(figure, len(names) + (2 if classifies else 1))
    first, last = trace[0], trace[-1]
    unit = max(_range(first.target), _range(first.non_target), 1e-12)
    for index, (axes, name) in enumerate(zip(panels, names, strict=False)):
        for curves in trace[:: max(1, len(trace) // LINES)]:
            old, new = (each.non_target if index else each.target for each in (first, curves))
            change = [(b - a) / unit for a, b in zip(_centered(old), _centered(new), strict=True)]
            axes.plot(curves.p, change, color=_shade(curves.step, last.step))
        axes.set_xlabel(kind.words.prediction)
        axes.set_ylabel("change, in % of the first loss's range")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        title(axes, f"change of the loss, {name}")
    _same_limits(panels[: len(names)])
    _step_bar(figure, panels[len(names) - 1], last.step)
    steps = [curves.step for curves in trace]
    rates = panels[len(names)]
    rates.plot(steps, [curves.factor for curves in trace], color=COLORS[0])
    rates.axhline(1, linestyle=":", linewidth=1, color=SOFT)
    title(rates, "as a learning rate")
    rates.set(xlabel="training step", ylabel="factor on the default loss's step")
    widen(rates, 0.2)
    if classifies:
        _draw_smoothing(panels[-1], [(each.step, each.smoothing) for each in trace])
    return figure


def _centered(values: Sequence[float]) -> list[float]:
    """Return values moved to be 0 in the middle: a constant teaches nothing."""
    return [value - values[len(values) // 2] for value in values]


def _range(values: Sequence[float]) -> float:
    return max(values, default=0.0) - min(values, default=0.0)


def _shade(step: int, last: int) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](0.9 * step / max(last, 1))


def _same_limits(panels: Sequence["Axes"]) -> None:
    """Give panels one vertical axis, which spans a hundredth of the loss's range at least."""
    most = max(abs(end) for axes in panels for end in axes.get_ylim())
    for axes in panels:
        axes.set_ylim(-max(most, 0.01), max(most, 0.01))


def _step_bar(figure: "Figure", axes: "Axes", last: int) -> None:
    """Tell which color is which step."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colors = ListedColormap(colormaps["viridis"]([0.9 * i / 255 for i in range(256)]))
    bar = figure.colorbar(ScalarMappable(Normalize(0, max(last, 1)), colors), ax=axes)
    bar.set_label("training step", fontsize=8, color=INK)
    bar.ax.tick_params(labelsize=8, colors=SOFT)


def _draw_smoothing(axes: "Axes", smoothed: Sequence[tuple[int, float | None]]) -> None:
    title(axes, "as label smoothing")
    known = [(step, value) for step, value in smoothed if value is not None]
    if known:
        axes.plot(*zip(*known, strict=True), color=COLORS[0])
        axes.set(xlabel="training step", ylabel="smoothing")
        axes.set_ylim(0, max(0.1, 1.15 * max(value for _, value in known)))
    else:
        axes.set(xticks=[], yticks=[])
        told = "none: it never pushes back"
        axes.text(0.5, 0.5, told, ha="center", va="center", transform=axes.transAxes, fontsize=9)
