"""VGG-16 (Simonyan & Zisserman 2015, configuration D) with batch norm, for small images."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from lossforge.models.family import Family
from lossforge.models.layers import dense
from lossforge.models.pictures import GlobalMean, normalized, require_images
from lossforge.validation import require_in_range

BLOCKS = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""width in units of the first block's, and convolutions, of each block"""


@final
@dataclass(frozen=True)
class VGG16(Family):
    """Thirteen 3x3 convolutions with batch norm in five blocks, each pooled, then a dense layer.

    As is common for 32x32 images (Liu & Deng 2015), batch norm is added and the dense layers of
    4096 are left out.

    Args:
        width: channels of the first block.

    Examples:
        >>> network = VGG16().build((3, 32, 32), outputs=10)
        >>> round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2)
        14.72
    """

    name: ClassVar[str] = "vgg16"

    width: int = 64

    def __post_init__(self) -> None:
        require_in_range("width", self.width, 1)

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images [channels, height, width] of at least 8x8."""
        channels, _, _ = require_images(self.name, input_shape, 8)
        layers: list[nn.Module] = []
        for factor, count in BLOCKS:
            for _ in range(count):
                layers += normalized(channels, factor * self.width, 3)
                channels = factor * self.width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        return nn.Sequential(*layers, GlobalMean(), dense(channels, outputs))
