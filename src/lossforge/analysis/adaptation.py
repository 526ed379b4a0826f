"""What an adaptive loss was over the time of a training: curves, learning rate, smoothing.

Source: thesis, ch. 6: the loss acts as a schedule of the learning rate, as early stopping where it
becomes flat, and as label smoothing that adapts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import torch

from lossforge.analysis.behavior import path, rest_point
from lossforge.analysis.drawing import new_figure, save_figure
from lossforge.losses import NeuralLoss
from lossforge.methods.adalfl import LossSnapshot
from lossforge.tasks.kinds import Kind, as_kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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

    def curve(target: float) -> list[float]:
        values: list[float] = loss.elementwise(torch.full_like(p, target), p).tolist()
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
    from matplotlib import colormaps

    classifies = as_kind(kind).predicts_probabilities
    figure = new_figure(12, 3.6) if classifies else new_figure(8, 3.6)
    panels = figure.subplots(1, 4 if classifies else 2)
    every = max(1, len(trace) // LINES)
    names = ["target, y = 1", "non-target, y = 0"] if classifies else ["y = 0"]
    shades = colormaps["viridis"]
    for axes, name in zip(panels, names, strict=False):
        for curves in trace[::every]:
            values = curves.target if name == names[0] else curves.non_target
            shade = shades(0.9 * curves.step / max(trace[-1].step, 1))
            axes.plot(curves.p, values, color=shade, label=f"step {curves.step}")
        axes.set(title=name, xlabel="probability p" if classifies else "error p - y")
        axes.set_ylabel("loss of one output")
    panels[0].legend(fontsize="xx-small", title="training step", title_fontsize="xx-small")
    rates = panels[len(names)]
    steps = [curves.step for curves in trace]
    rates.plot(steps, [curves.factor for curves in trace], "-", color="black")
    rates.axhline(1, linestyle=":", color="grey")
    rates.set(title="as a learning rate", xlabel="training step")
    rates.set_ylabel("factor on the default loss's step")
    if classifies:
        smoothed = [
            (curves.step, curves.smoothing) for curves in trace if curves.smoothing is not None
        ]
        _draw_smoothing(panels[3], smoothed)
    for axes in panels:
        axes.grid(alpha=0.3)
    save_figure(figure, stem)


def _draw_smoothing(axes: "Axes", smoothed: Sequence[tuple[int, float]]) -> None:
    if smoothed:
        axes.plot(*zip(*smoothed, strict=True), "-", color="black")
        axes.set(title="as label smoothing", xlabel="training step", ylabel="smoothing")
    else:
        axes.set(title="as label smoothing", xticks=[], yticks=[])
        told = "none: it never pushes back"
        axes.text(0.5, 0.5, told, ha="center", va="center", transform=axes.transAxes)
