"""Four convolutional blocks: the small network of few-shot learning (Vinyals et al. 2016)."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from lossforge.models.family import Family
from lossforge.models.layers import dense
from lossforge.models.pictures import normalized, require_images
from lossforge.validation import require_in_range


@final
@dataclass(frozen=True)
class Conv4(Family):
    """Four times 3x3 convolution, batch norm, ReLU and 2x2 max-pooling; then a dense layer.

    Args:
        width: channels of each block.

    Examples:
        >>> network = Conv4().build((3, 32, 32), outputs=10)
        >>> sum(parameter.numel() for parameter in network.parameters())
        115402
    """

    name: ClassVar[str] = "conv4"

    width: int = 64

    def __post_init__(self) -> None:
        require_in_range("width", self.width, 1)

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images [channels, height, width] of at least 16x16."""
        channels, height, width = require_images(self.name, input_shape, 16)
        layers: list[nn.Module] = []
        for before in (channels, self.width, self.width, self.width):
            layers += [*normalized(before, self.width, 3), nn.MaxPool2d(2)]
        flat = self.width * (height // 16) * (width // 16)
        return nn.Sequential(*layers, nn.Flatten(), dense(flat, outputs))
