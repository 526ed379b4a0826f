"""Where training under a loss ends: the surroundings of the weights, and the features.

Source: Li et al. 2018, "Visualizing the loss landscape of neural nets": random directions, each
filter scaled to the norm of the network's own, so that two networks can be held side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor, nn

from lossforge.analysis.drawing import (
    COLORS,
    MARKERS,
    NARROW,
    STYLES,
    axes_of,
    legend_below,
    new_figure,
    save_figure,
    shorten_title,
    title,
)
from lossforge.errors import ConfigurationError
from lossforge.losses import Loss
from lossforge.tasks.task import Split
from lossforge.validation import require_in_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL, LETTERS = 2.9, 30
"""width of a panel in inches, and characters of a name that fit above it"""

MOST_NAMED = 12
"""classes that a legend names"""

Direction = dict[str, Tensor]


@final
@dataclass(frozen=True)
class Surroundings:
    """The default loss around a network's weights.

    Attributes:
        name: of the loss that the network was trained under.
        offsets: multiples of the directions, [P].
        line: the default loss along the first direction, [P].
        plane: the same over both directions, [P, P].
    """

    name: str
    offsets: list[float]
    line: list[float]
    plane: list[list[float]]

    @property
    def at_weights(self) -> float:
        """The default loss at the weights themselves."""
        return self.line[len(self.line) // 2]

    @property
    def sharpness(self) -> float:
        """By how much the loss rises, on average, half the way out along the line."""
        middle = len(self.offsets) // 2
        away = max(1, middle // 2)
        rises = [self.line[middle + sign * away] - self.line[middle] for sign in (-1, 1)]
        return float(sum(rises) / 2)


def random_direction(network: nn.Module, generator: torch.Generator) -> Direction:
    """Return a filter-normalized direction; biases and norms, which are vectors, do not move.

    Args:
        network: gives shapes and norms.
        generator: of the CPU.
    """
    direction = {}
    for name, weight in network.named_parameters():
        if weight.dim() < 2:
            continue
        drawn = torch.randn(weight.shape, generator=generator).to(weight.device)
        rows, own = drawn.flatten(1), weight.detach().flatten(1)
        scale = own.norm(dim=1) / rows.norm(dim=1).clamp_min(1e-12)
        direction[name] = (rows * scale[:, None]).view_as(weight)
    return direction


def surroundings(
    name: str,
    network: nn.Module,
    split: Split,
    default: Loss,
    directions: tuple[Direction, Direction],
    *,
    span: float = 1.0,
    points: int = 21,
) -> Surroundings:
    """Return the default loss on a grid around a network's weights.

    Args:
        name: of the loss that the network was trained under.
        network: trained; it is left as it is.
        split: rows on which the loss is measured.
        default: that loss.
        directions: see `random_direction`; the same draw for every network that is compared.
        span: greatest multiple of the directions.
        points: along each; odd, so that the weights themselves are among them.

    Raises:
        ConfigurationError: `points` is even or below 3, or `span` is not positive.
    """
    require_in_range("points", points, 3)
    require_in_range("span", span, 0, exclude_low=True)
    if points % 2 == 0:
        raise ConfigurationError(f"points must be odd, not {points}")
    offsets = np.linspace(-span, span, points).tolist()
    plane = [[_at(network, split, default, directions, (a, b)) for a in offsets] for b in offsets]
    return Surroundings(name, offsets, plane[points // 2], plane)


@torch.no_grad()
def _at(
    network: nn.Module,
    split: Split,
    default: Loss,
    directions: tuple[Direction, Direction],
    offset: tuple[float, float],
) -> float:
    moved = {
        name: weight + offset[0] * directions[0][name] + offset[1] * directions[1][name]
        for name, weight in network.named_parameters()
        if name in directions[0]
    }
    network.eval()
    outputs: Tensor = torch.func.functional_call(network, moved, (split.inputs,))
    return float(default(outputs.float(), split.targets))


@torch.no_grad()
def penultimate(network: nn.Module, inputs: Tensor) -> Tensor:
    """Return what goes into a network's last layer, [B, F].

    Raises:
        ConfigurationError: the network has no linear or convolutional layer.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not layers:
        raise ConfigurationError("the network has no linear layer whose inputs could be shown")
    seen: list[Tensor] = []
    hook = layers[-1].register_forward_hook(lambda _, given, __: seen.append(given[0]))
    try:
        network.eval()(inputs)
    finally:
        hook.remove()
    return seen[-1].flatten(1)


def project(features: Tensor, seed: int = 0) -> Any:
    """Return features on a plane by t-SNE, [B, 2]."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    scaled = features.double().cpu().numpy()
    return TSNE(perplexity=perplexity, random_state=seed, init="pca").fit_transform(scaled)


def draw_landscapes(found: Sequence[Surroundings], default: str, folder: Path) -> None:
    """Write line.png and planes.png, and both as SVG; planes share their levels."""
    figure = new_figure(NARROW, 3.6)
    (axes,) = axes_of(figure)
    for index, each in enumerate(found):
        name = shorten_title(each.name)
        axes.plot(each.offsets, each.line, STYLES[index % len(STYLES)], label=name)
    axes.set(xlabel="offset along a filter-normalized direction", ylabel=default)
    legend_below(figure, axes)
    title(axes, "around the weights that each loss ends with")
    save_figure(figure, folder / "line")
    save_figure(_planes(found, default), folder / "planes")


def _planes(found: Sequence[Surroundings], default: str) -> "Figure":
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter, LogLocator

    figure = new_figure(PANEL * len(found) + 0.9, 3.2)
    panels = axes_of(figure, len(found), sharey=True)
    planes = [np.maximum(np.array(each.plane), 1e-6) for each in found]
    low, high = min(p.min() for p in planes), max(p.max() for p in planes)
    high = max(high, low * 1.01)
    levels = np.geomspace(low, high, 20)
    for axes, each, plane in zip(panels, found, planes, strict=True):
        drawn = axes.contourf(
            each.offsets,
            each.offsets,
            plane,
            levels=levels,
            cmap="cividis",
            norm=LogNorm(low, high),
        )
        axes.plot(0, 0, "w+")
        axes.grid(visible=False)
        axes.set_aspect("equal")
        axes.set_xlabel("first direction")
        title(axes, shorten_title(each.name, LETTERS))
    panels[0].set_ylabel("second direction")
    bar = figure.colorbar(drawn, ax=panels, label=default)
    # Losses as people write them, not their logarithms.
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    bar.ax.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    bar.ax.tick_params(labelsize=8)
    return figure


def draw_projections(
    projected: Sequence[tuple[str, Any]], labels: Tensor, classes: int, folder: Path
) -> None:
    """Write features.png: penultimate features of each network by t-SNE, colored by class."""
    figure = new_figure(PANEL * len(projected) + 0.9, 3.4)
    panels = axes_of(figure, len(projected))
    found, colors = labels.cpu().numpy(), _class_colors(max(classes, 2))
    for axes, (name, places) in zip(panels, projected, strict=True):
        for label, color in enumerate(colors):
            some = places[found == label]
            marker = MARKERS[label % len(MARKERS)]
            axes.scatter(
                some[:, 0],
                some[:, 1],
                color=color,
                s=9,
                marker=marker,
                linewidths=0,
                label=str(label),
            )
        axes.set(xlabel="t-SNE 1", xticks=[], yticks=[])
        title(axes, shorten_title(name, LETTERS))
    panels[0].set_ylabel("t-SNE 2")
    if len(colors) <= MOST_NAMED:
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, names, title="class", loc="outside right center", fontsize=8,
            title_fontsize=8, frameon=False, markerscale=1.6,
        )  # fmt: skip
    save_figure(figure, folder / "features")


def _class_colors(classes: int) -> list[Any]:
    """Return a color for each class; beyond the palette, evenly from a colormap."""
    from matplotlib import colormaps

    if classes <= len(COLORS):
        return list(COLORS[:classes])
    return [colormaps["turbo"]((i + 0.5) / classes) for i in range(classes)]
