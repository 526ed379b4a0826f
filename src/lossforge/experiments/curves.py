"""Training curves: the metric on validation data by steps, mean and range over the seeds."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from lossforge.analysis.drawing import (
    MARKERS,
    NARROW,
    STYLES,
    axes_of,
    legend_below,
    new_figure,
    save_figure,
)
from lossforge.analysis.drawing import title as set_title
from lossforge.experiments.grid import Line


def plot_curves(title: str, metric: str, lines: Sequence[Line], path: Path) -> None:
    """Write the curves of one task and network as PNG and SVG.

    Args:
        title: of the plot.
        metric: its name.
        lines: entries, one curve each.
        path: of the files, without ending.
    """
    figure = new_figure(NARROW, 4.0)
    (axes,) = axes_of(figure)
    for index, line in enumerate(lines):
        curves = [outcome.curve for outcome in line.outcomes if outcome.failure is None]
        steps = sorted(set.intersection(*(set(dict(c)) for c in curves))) if curves else []
        if not steps:
            continue
        values = [[dict(curve)[step] for curve in curves] for step in steps]
        (drawn,) = axes.plot(
            steps,
            [fmean(at) for at in values],
            STYLES[index % len(STYLES)],
            marker=MARKERS[index % len(MARKERS)],
            markevery=max(1, len(steps) // 8),
            markersize=4,
            label=line.name,
        )
        low, high = [min(at) for at in values], [max(at) for at in values]
        axes.fill_between(steps, low, high, alpha=0.15, color=drawn.get_color(), linewidth=0)
    axes.set(xlabel="training step", ylabel=f"{metric} on validation data")
    set_title(axes, title)
    axes.set_yscale("log" if _all_positive(lines) else "linear")
    legend_below(figure, axes, 1 if max(len(line.name) for line in lines) > 30 else 2)
    save_figure(figure, path)


def _all_positive(lines: Sequence[Line]) -> bool:
    checks = (check for line in lines for outcome in line.outcomes for check in outcome.curve)
    return all(score > 0 for _, score in checks)
