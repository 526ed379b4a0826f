"""Draw every plot of the documents again: python docs/make_plots.py"""

from pathlib import Path

from lossforge.analysis.plots import force_figure
from lossforge.losses import SymbolicLoss

IMAGES = Path(__file__).parent / "images"

FOUND_ON_DIGITS = "2.246*square(1.038*p + 1.945*y)*square(1.71*p - 1.374)"
"""the loss in the README"""


def main() -> None:
    """Write the plots."""
    figure = force_figure(SymbolicLoss(FOUND_ON_DIGITS), classes=10)
    figure.savefig(IMAGES / "found_on_digits.png", dpi=150)


if __name__ == "__main__":
    main()
