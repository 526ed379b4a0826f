"""LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition")."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from lossforge.models.family import Family
from lossforge.models.layers import convolution, dense
from lossforge.models.pictures import require_images

SMALLEST = 12


@final
@dataclass(frozen=True)
class LeNet5(Family):
    """Two 5x5 convolutions of 6 and 16 channels, then dense layers of 120 and 84.

    As is common today, and unlike the paper: ReLU for tanh, max-pooling for trained subsampling,
    full connections between the convolutions, and a dense layer of outputs for Gaussian units.

    Examples:
        >>> network = LeNet5().build((1, 28, 28), outputs=10)
        >>> sum(parameter.numel() for parameter in network.parameters())
        61706
    """

    name: ClassVar[str] = "lenet"

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images [channels, height, width] of at least 12x12."""
        channels, height, width = require_images(self.name, input_shape, SMALLEST)
        flat = 16 * _halved_twice(height) * _halved_twice(width)
        return nn.Sequential(
            *[convolution(channels, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)],
            *[convolution(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()],
            *[dense(flat, 120), nn.ReLU(), dense(120, 84), nn.ReLU(), dense(84, outputs)],
        )


def _halved_twice(side: int) -> int:
    return (side // 2 - 4) // 2
