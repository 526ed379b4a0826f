"""Draws docs/images/gallery.png: the pull of the library's losses on the target's logit."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

from lossforge.losses.resolve import resolve_loss

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


def main() -> None:
    """Draw the picture."""
    probability = torch.linspace(0.002, 0.998, 400)
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for (name, loss), color in zip(LOSSES.items(), COLORS, strict=True):
        # SparseLSR lies on label smoothing where all other classes are equally likely, as here.
        line = "--" if "SparseLSR" in name else "-"
        axes.plot(
            probability, pull(loss, probability), line, label=name, color=color, linewidth=1.8
        )
    axes.axhline(0, color="gray", linewidth=0.8)
    axes.set_xlabel("probability of the right class (ten classes)")
    axes.set_ylabel("pull on its logit")
    axes.legend(frameon=False)
    figure.savefig(Path(__file__).parent / "images" / "gallery.png", dpi=150)


if __name__ == "__main__":
    main()
