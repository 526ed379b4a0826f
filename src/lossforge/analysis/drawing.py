"""One style for all plots: legible at column width, for the color-blind, and on gray paper."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossforge.extras import require_extra
from lossforge.files import sweep_stale, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = ("-", "--", "-.", ":")
MARKERS = "osD^v<>P*X"

COLORS = ("#0b5cad", "#c2410c", "#00795c", "#a1347f", "#6b7280", "#8a6100", "#0e7490", "#5b4bb7")
"""of lines: dark enough for white paper, told apart with any color vision, as in pages of runs"""

INK, SOFT, GRID = "#1b1f24", "#57606a", "#e3e7eb"

WIDE, NARROW = 7.2, 4.6
"""inches: two panels or more, and one panel"""

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "xtick.labelsize": 8,
    "ytick.color": SOFT,
    "ytick.labelsize": 8,
}


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure, sizes in inches.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    require_extra("plots", "a plot")
    # The object interface draws without a display and leaves no global state behind.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def axes_of(figure: "Figure", columns: int = 1, **options: Any) -> list["Axes"]:
    """Return axes side by side, in the style of all plots.

    Args:
        figure: without axes.
        columns: how many axes.
        **options: of matplotlib's `subplots`, such as ``sharey=True``.

    Examples:
        >>> [axes.get_xgridlines()[0].get_color() for axes in axes_of(new_figure(4, 3), 2)]
        ['#e3e7eb', '#e3e7eb']
    """
    from cycler import cycler
    from matplotlib import rc_context

    style: Any = STYLE | {"axes.prop_cycle": cycler(color=COLORS)}
    with rc_context(style):
        return list(figure.subplots(1, columns, squeeze=False, **options)[0])


def title(axes: "Axes", text: str) -> None:
    """Set the title of axes; the caller shortens what could run into the next."""
    axes.set_title(text, fontsize=9.5, color=INK)


def legend_below(figure: "Figure", axes: "Axes", columns: int = 2) -> None:
    """Place the legend of axes below a figure, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False
    )


def shorten_title(text: str, width: int = 34) -> str:
    """Return text of at most so many characters, the middle left out.

    Examples:
        >>> shorten_title("label_smoothing:smoothing=0.1 on digits", 20)
        'label_smoo…on digits'
    """
    head = width // 2
    return text if len(text) <= width else f"{text[:head]}…{text[len(text) - (width - head - 1) :]}"


def widen(axes: "Axes", share: float) -> None:
    """Widen the vertical axis to a share of what it shows at least: small changes look small."""
    low, high = axes.get_ylim()
    least = share * max(abs(low), abs(high))
    if high - low < least:
        middle = (low + high) / 2
        axes.set_ylim(middle - least / 2, middle + least / 2)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG and SVG, each whole or not at all; `path` is without ending."""
    for ending in ("png", "svg"):
        target, content = path.with_name(f"{path.name}.{ending}"), io.BytesIO()
        figure.savefig(content, format=ending, dpi=150)
        sweep_stale(target)
        write_atomically(target, content.getvalue())
