"""What all plots share: figures without a display, line styles that gray paper tells apart."""

from pathlib import Path
from typing import TYPE_CHECKING

from lossforge.extras import require_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = ("-", "--", "-.", ":")
MARKERS = "osD^v<>P*X"


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


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG and SVG; `path` is without ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending in ("png", "svg"):
        figure.savefig(path.with_name(f"{path.name}.{ending}"), dpi=150)
