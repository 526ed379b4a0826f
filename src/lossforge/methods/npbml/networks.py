"""Encoders of few-shot learning: layers that adapt, and warp layers between them that do not.

A warp layer is linear, learned across tasks and held fixed within one: gradients that pass through
it are preconditioned (Flennerhag et al. 2020; thesis, ch. 7).
"""

from collections.abc import Callable
from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.errors import ConfigurationError, unknown_name
from lossforge.methods.npbml.film import FiLM
from lossforge.methods.npbml.norm import PooledNorm, TaskNorm, is_plain
from lossforge.models.pictures import he_convolution

CONV4_BLOCKS = 4
RESNET12_WIDTHS = (1, 2, 4, 8)
"""in multiples of the first block's"""


@final
class Warp(nn.Module):
    """A linear layer between adapted ones, at first the identity."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs, shaped like `inputs`."""
        outputs: Tensor = self.layer(inputs)
        return outputs


def warp_convolution(channels: int, *, warp: bool) -> nn.Module:
    """Return a 3x3 warp layer on channels; the identity where there is none."""
    if not warp:
        return nn.Identity()
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight)
    return Warp(layer)


def warp_linear(features: int, *, warp: bool) -> nn.Module:
    """Return a warp layer on features; the identity where there is none."""
    if not warp:
        return nn.Identity()
    layer = nn.Linear(features, features, bias=False)
    nn.init.eye_(layer.weight)
    return Warp(layer)


@final
class Convolution(nn.Conv2d):
    """A 3x3 convolution that keeps the size.

    On a CPU, PyTorch's is slow on images of one channel: there it is a matrix product.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return images [B, outputs, H, W]."""
        if self.in_channels > 1 or is_plain(images) or self.bias is None:
            return super().forward(images)
        count, _, height, width = images.shape
        squares = F.unfold(images, 3, padding=1).transpose(1, 2)
        rows = F.linear(squares.flatten(0, 1), self.weight.flatten(1), self.bias)
        return rows.view(count, height, width, -1).permute(0, 3, 1, 2)


@final
class Conv4(nn.Sequential):
    """4-CONV: convolution, warp, norm, FiLM, ReLU, pooling, four times (Vinyals et al. 2016).

    Args:
        input_shape: [channels, height, width] of at least 16x16.
        width: channels of each block.
        warp: whether there are warp layers.
        film: whether FiLM follows the norms.
        task: width of a task's vector that FiLM sees; 0 for the mean of its inputs.
    """

    def __init__(
        self, input_shape: tuple[int, ...], width: int, *, warp: bool, film: bool, task: int = 0
    ):
        layers: list[nn.Module] = []
        for before in (input_shape[0], *[width] * (CONV4_BLOCKS - 1)):
            layers += [
                Convolution(before, width),
                warp_convolution(width, warp=warp),
                PooledNorm(width, film=film, task=task),
            ]
        super().__init__(*layers, nn.Flatten())


@final
class ResNet12(nn.Sequential):
    """Four residual blocks of three convolutions, each pooled; the mean over the image.

    Args:
        input_shape: [channels, height, width] of at least 16x16.
        width: channels of the first block; the others have 2, 4 and 8 times as many.
        warp: whether a warp layer follows each block's convolutions.
        film: whether FiLM follows the norm of each block's last convolution.
        task: width of a task's vector that FiLM sees; 0 for the mean of its inputs.
    """

    def __init__(
        self, input_shape: tuple[int, ...], width: int, *, warp: bool, film: bool, task: int = 0
    ):
        widths = [input_shape[0], *(factor * width for factor in RESNET12_WIDTHS)]
        blocks = [_Block(*pair, warp=warp, film=film, task=task) for pair in pairwise(widths)]
        super().__init__(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())


@final
class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, warp: bool, film: bool, task: int = 0):
        super().__init__()
        self.convolutions = nn.ModuleList(
            he_convolution(before, outputs, 3) for before in (inputs, outputs, outputs)
        )
        self.norms = nn.ModuleList(
            TaskNorm(outputs, film=modulated and film, task=task)
            for modulated in (False, False, True)
        )
        self.shortcut = he_convolution(inputs, outputs, 1)
        self.shortcut_norm = TaskNorm(outputs)
        self.warp = warp_convolution(outputs, warp=warp)
        self.pool = nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        kept = self.shortcut_norm(self.shortcut(images))
        for index, (layer, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            images = layer(images)
            if index == len(self.norms) - 1:
                images = norm(self.warp(images)) + kept
            else:
                images = norm(images)
            images = F.leaky_relu(images, 0.1)
        pooled: Tensor = self.pool(images)
        return pooled


@final
class Dense(nn.Sequential):
    """Two hidden layers with warp layers and FiLM after them: for tables and sinusoids."""

    def __init__(
        self, input_shape: tuple[int, ...], width: int, *, warp: bool, film: bool, task: int = 0
    ):
        layers: list[nn.Module] = [nn.Flatten()]
        for before in (int(torch.tensor(input_shape).prod()), width):
            layers += [nn.Linear(before, width), warp_linear(width, warp=warp)]
            if film:
                layers.append(FiLM(width, task=task))
            layers.append(nn.ReLU())
        super().__init__(*layers)


def backbone_parameters(encoder: nn.Module) -> list[nn.Parameter]:
    """Return the weights of an encoder but for those of its warp layers and FiLM."""
    others = {
        weight
        for module in encoder.modules()
        if isinstance(module, Warp | FiLM)
        for weight in module.parameters()
    }
    return [weight for weight in encoder.parameters() if weight not in others]


ENCODERS: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "conv4": (Conv4, 64),
    "resnet12": (ResNet12, 64),
    "dense": (Dense, 40),
}
"""and the width that each has in the papers"""


def make_encoder(
    name: str, input_shape: tuple[int, ...], width: int, *, warp: bool, film: bool, task: int = 0
) -> nn.Module:
    """Return a fresh encoder, drawn from torch's global generator.

    Args:
        name: conv4, resnet12 or dense.
        input_shape: of one row.
        width: of the first layer; 0 for the papers'.
        warp: whether there are warp layers.
        film: whether FiLM stands before the activations.
        task: width of a task's vector that FiLM sees; 0 for the mean of its inputs.

    Raises:
        UnknownNameError: there is no such encoder.
        ConfigurationError: it takes no inputs of that shape.
    """
    if name not in ENCODERS:
        raise unknown_name("few-shot network", name, ENCODERS)
    build, usual = ENCODERS[name]
    if name != "dense" and (len(input_shape) != 3 or min(input_shape[1:]) < 16):
        raise ConfigurationError(
            f"{name} takes images of 16x16 or more, not inputs of shape {list(input_shape)}; "
            "pass --network dense"
        )
    chosen = width or usual
    state = torch.get_rng_state()
    encoder = build(input_shape, chosen, warp=warp, film=film, task=task)
    if warp or film:
        # Warp layers and FiLM draw numbers before they become the identity. The backbone is that
        # of an encoder without them, so that methods differ by what they learn.
        torch.set_rng_state(state)
        plain = build(input_shape, chosen, warp=False, film=False)
        pairs = zip(backbone_parameters(encoder), plain.parameters(), strict=True)
        with torch.no_grad():
            for weight, drawn in pairs:
                weight.copy_(drawn)
    return encoder
