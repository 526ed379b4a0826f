"""Draw every plot of the documents again: python docs/make_plots.py"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from lossforge.analysis.plots import force_figure
from lossforge.losses import SymbolicLoss
from lossforge.losses.resolve import resolve_loss

IMAGES = Path(__file__).parent / "images"

FOUND_ON_DIGITS = "26.11*(0.9279*p - 0.5505*y)*log(0.996*p)"
"""the loss in the README"""

CLASSES = 10
LOSSES = {
    "cross-entropy": "cross_entropy",
    "label smoothing 0.1": "label_smoothing:smoothing=0.1",
    "SparseLSR 0.1": "sparse_lsr:smoothing=0.1",
    "focal, gamma 2": "focal:gamma=2",
    "Poly-1, epsilon 1": "poly1:epsilon=1",
    "generalized CE, q 0.7": "generalized_cross_entropy:power=0.7",
}
# Okabe and Ito's colors, which color-blind readers tell apart.
COLORS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7")


def pull(loss: str, probability: torch.Tensor) -> torch.Tensor:
    """Return minus the derivative with respect to the target's logit, all others being equal."""
    logit = (probability / (1 - probability)).log() + torch.tensor(CLASSES - 1.0).log()
    outputs = torch.zeros(len(probability), CLASSES)
    outputs[:, 0] = logit
    outputs.requires_grad_()
    labels = torch.zeros(len(probability), dtype=torch.int64)
    resolve_loss(loss)(outputs, labels).mul(len(probability)).backward()
    return -outputs.grad[:, 0]


def gallery() -> Figure:
    """Return the pull of losses of the library, by the probability of the right class."""
    probability = torch.linspace(0.002, 0.998, 400)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for (name, loss), color in zip(LOSSES.items(), COLORS, strict=True):
        # SparseLSR lies on label smoothing where all other classes are equally likely, as here.
        line = "--" if "SparseLSR" in name else "-"
        axes.plot(probability, pull(loss, probability), line, label=name, color=color)
    axes.axhline(0, color="gray", linewidth=0.8)
    axes.set_xlabel("probability of the right class (ten classes)")
    axes.set_ylabel("pull on its logit")
    axes.legend(frameon=False)
    return figure


def main() -> None:
    """Write the plots."""
    figure = force_figure(SymbolicLoss(FOUND_ON_DIGITS), classes=10)
    figure.savefig(IMAGES / "found_on_digits.png", dpi=150)
    gallery().savefig(IMAGES / "gallery.png", dpi=150)


if __name__ == "__main__":
    main()
