"""All-CNN-C (Springenberg et al. 2015, "Striving for simplicity: the all convolutional net")."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from lossforge.models.family import Family
from lossforge.models.layers import convolution
from lossforge.models.pictures import GlobalMean, biased_convolution, require_images
from lossforge.validation import require_in_range


@final
@dataclass(frozen=True)
class AllCNNC(Family):
    """Nine convolutions and the mean over the image: no pooling, no dense layer.

    Args:
        width: channels of the first three convolutions; the next have twice as many.
        dropout: share dropped after each convolution of stride 2 (paper: 0.5).
        input_dropout: share of the pixels dropped (paper: 0.2).

    Examples:
        >>> network = AllCNNC().build((3, 32, 32), outputs=10)
        >>> sum(parameter.numel() for parameter in network.parameters())
        1369738
    """

    name: ClassVar[str] = "allcnn_c"

    width: int = 96
    dropout: float = 0.5
    input_dropout: float = 0.2

    def __post_init__(self) -> None:
        require_in_range("width", self.width, 1)
        require_in_range("dropout", self.dropout, 0, 0.99)
        require_in_range("input_dropout", self.input_dropout, 0, 0.99)

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images [channels, height, width] of at least 8x8."""
        channels, _, _ = require_images(self.name, input_shape, 8)
        narrow, wide = self.width, 2 * self.width
        plan = (
            *[(channels, narrow, 3, 1), (narrow, narrow, 3, 1), (narrow, narrow, 3, 2)],
            *[(narrow, wide, 3, 1), (wide, wide, 3, 1), (wide, wide, 3, 2)],
            *[(wide, wide, 3, 1), (wide, wide, 1, 1)],
        )
        layers: list[nn.Module] = [nn.Dropout(self.input_dropout)] if self.input_dropout else []
        for before, after, kernel, stride in plan:
            layers += [biased_convolution(before, after, kernel, stride), nn.ReLU()]
            if stride == 2 and self.dropout:
                layers.append(nn.Dropout(self.dropout))
        return nn.Sequential(*layers, convolution(wide, outputs, 1), GlobalMean())
