"""Figures of results that reports return."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lossforge.analysis.drawing import COLORS, INK, STYLES, axes_of, new_figure, shorten_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOR = COLORS[0]

NAME = 30
"""characters of a name beside a row"""


def figure_with(panels: int) -> tuple["Figure", list["Axes"]]:
    """Return a figure with so many panels in a row."""
    figure = new_figure(3.8 * panels + 1, 3.3)
    return figure, axes_of(figure, panels)


def draw_runs(
    axes: "Axes", names: Sequence[str], tests: Sequence[Sequence[float | None]], metric: str
) -> None:
    """Draw a dot for each run and a line at the mean; runs that diverged are counted in the name.

    Args:
        axes: to draw on.
        names: of the losses.
        tests: the metric of each of their runs; None for one that diverged.
        metric: its name.
    """
    labels = []
    for row, (name, values) in enumerate(zip(names, tests, strict=True)):
        finite = [value for value in values if value is not None]
        axes.plot(finite, [row] * len(finite), "o", color=COLOR, alpha=0.5)
        if finite:
            mean = sum(finite) / len(finite)
            axes.plot([mean, mean], [row - 0.25, row + 0.25], color=INK)
        diverged = len(values) - len(finite)
        told = shorten_title(name, NAME)
        labels.append(f"{told} ({diverged} diverged)" if diverged else told)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set(xlabel=f"{metric} on test data")


def draw_ranks(axes: "Axes", overall: dict[str, Any]) -> None:
    """Draw a critical-difference diagram: mean ranks on a line, bars over those that do not differ.

    Source: Demšar, "Statistical comparisons of classifiers over multiple data sets" (JMLR 2006).

    Args:
        axes: to draw on.
        overall: names, ranks, groups and critical difference, as a comparison's result holds them.
    """
    names, ranks = overall["names"], dict(zip(overall["names"], overall["ranks"], strict=True))
    order = sorted(names, key=ranks.__getitem__)
    low, high = 1, len(names)
    margin = 0.25 * (high - low)
    for place, name in enumerate(order):
        is_left = place < (len(order) + 1) // 2
        row = -1.0 - (place if is_left else len(order) - 1 - place)
        edge = low - margin if is_left else high + margin
        axes.plot([ranks[name], ranks[name], edge], [0, row, row], color=INK, linewidth=0.8)
        side = "right" if is_left else "left"
        told = f" {shorten_title(name, 26)} ({ranks[name]:.2f}) "
        axes.text(edge, row, told, ha=side, va="center", fontsize=8)
    for index, group in enumerate(overall["groups"]):
        height = -0.25 - 0.2 * index
        ends = [ranks[group[0]] - 0.05, ranks[group[-1]] + 0.05]
        axes.plot(ends, [height, height], color=COLOR, linewidth=4, solid_capstyle="butt")
    width = overall["critical_difference"]
    axes.plot([low, low + width], [0.8, 0.8], "|-", color=INK)
    axes.text(low + width / 2, 0.95, f"critical difference {width:.2f}", ha="center", va="bottom")
    axes.plot([low, high], [0, 0], color=INK)
    for rank in range(low, high + 1):
        axes.plot([rank, rank], [0, 0.12], color=INK)
        axes.text(rank, 0.2, str(rank), ha="center", va="bottom")
    axes.set(xlim=(low - 3.4 * margin - 0.5, high + 3.4 * margin + 0.5), ylim=(None, 1.6))
    axes.set_axis_off()


def draw_front(axes: "Axes", front: Sequence[dict[str, Any]], metric: str) -> None:
    """Draw a search's Pareto front of validation metric against size."""
    sizes = [member["size"] for member in front]
    axes.step(sizes, [member["fitness"] for member in front], "o-", where="post", color=COLOR)
    axes.set(xlabel="nodes of the expression", ylabel=f"{metric} on validation data")


def draw_curve(axes: "Axes", curve: Sequence[tuple[int, float]], metric: str) -> None:
    """Draw a metric on validation data by training step."""
    axes.plot([step for step, _ in curve], [score for _, score in curve], "o-", color=COLOR)
    axes.set(xlabel="training step", ylabel=f"{metric} on validation data")


def draw_times(
    axes: "Axes", curves: Mapping[str, Sequence[tuple[int, float, float]]], metric: str
) -> None:
    """Draw a metric on validation tasks by seconds of learning, a line a method.

    Args:
        axes: to draw on.
        curves: steps, metric and seconds of each evaluation, by method.
        metric: its name.
    """
    for index, (name, curve) in enumerate(curves.items()):
        times, scores = [time for *_, time in curve], [score for _, score, _ in curve]
        axes.plot(times, scores, STYLES[index % len(STYLES)], label=shorten_title(name, NAME))
    axes.set(xlabel="seconds of learning", ylabel=f"{metric} on validation tasks")
    axes.legend(fontsize=7)


def draw_intervals(
    axes: "Axes",
    names: Sequence[str],
    means: Sequence[float],
    intervals: Sequence[float],
    metric: str,
) -> None:
    """Draw means with their 95 % intervals, one a row."""
    axes.errorbar(means, range(len(names)), xerr=intervals, fmt="o", color=COLOR, capsize=3)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlabel=f"{metric} on meta-test tasks")
