"""SqueezeNet (Iandola et al. 2016) for small images."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from lossforge.models.family import Family
from lossforge.models.layers import convolution
from lossforge.models.pictures import GlobalMean, normalized, require_images

FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""channels of the squeeze and of each half of the expansion: the paper's table 1"""

POOLED_AFTER = (2, 6)


@final
@dataclass(frozen=True)
class SqueezeNet(Family):
    """Eight fire modules with batch norm; a 1x1 convolution and a mean give the outputs.

    As is common for 32x32 images, the first convolution is 3x3 without stride.

    Examples:
        >>> network = SqueezeNet().build((3, 32, 32), outputs=100)
        >>> round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2)
        0.78
    """

    name: ClassVar[str] = "squeezenet"

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images [channels, height, width] of at least 8x8."""
        channels, _, _ = require_images(self.name, input_shape, 8)
        layers: list[nn.Module] = [*normalized(channels, 96, 3), nn.MaxPool2d(2)]
        before = 96
        for index, (squeeze, expand) in enumerate(FIRES):
            layers.append(_Fire(before, squeeze, expand))
            before = 2 * expand
            if index in POOLED_AFTER:
                layers.append(nn.MaxPool2d(2))
        return nn.Sequential(*layers, convolution(before, outputs, 1), GlobalMean())


@final
class _Fire(nn.Module):
    """Squeeze to few channels by 1x1, expand by 1x1 and by 3x3 side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int):
        super().__init__()
        self.squeeze = nn.Sequential(*normalized(inputs, squeeze, 1))
        self.narrow = nn.Sequential(*normalized(squeeze, expand, 1))
        self.wide = nn.Sequential(*normalized(squeeze, expand, 3))

    def forward(self, images: Tensor) -> Tensor:
        squeezed = self.squeeze(images)
        return torch.cat([self.narrow(squeezed), self.wide(squeezed)], 1)
