"""AlexNet in the form for small images (Krizhevsky et al. 2012; one dense layer, as for CIFAR)."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from lossforge.models.family import Family
from lossforge.models.layers import dense
from lossforge.models.pictures import GlobalMean, biased_convolution, require_images


@final
@dataclass(frozen=True)
class AlexNet(Family):
    """Five convolutions of 64 to 384 channels, three poolings, one dense layer.

    As is common for 32x32 images, the two dense layers of 4096 are left out.

    Examples:
        >>> network = AlexNet().build((3, 32, 32), outputs=10)
        >>> sum(parameter.numel() for parameter in network.parameters())
        2472266
    """

    name: ClassVar[str] = "alexnet"

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images [channels, height, width] of at least 8x8."""
        channels, _, _ = require_images(self.name, input_shape, 8)

        def pool() -> nn.Module:
            return nn.MaxPool2d(2, ceil_mode=True)

        return nn.Sequential(
            *[biased_convolution(channels, 64, 11, stride=4), nn.ReLU(), pool()],
            *[biased_convolution(64, 192, 5), nn.ReLU(), pool()],
            *[biased_convolution(192, 384, 3), nn.ReLU()],
            *[biased_convolution(384, 256, 3), nn.ReLU()],
            *[biased_convolution(256, 256, 3), nn.ReLU(), pool()],
            *[GlobalMean(), dense(256, outputs)],
        )
