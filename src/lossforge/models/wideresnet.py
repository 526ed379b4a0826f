"""Wide residual networks (Zagoruyko & Komodakis 2016)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

from torch import nn

from lossforge.models.family import Family
from lossforge.models.layers import dense
from lossforge.models.pictures import GlobalMean, he_convolution, require_images
from lossforge.models.residual import PreActivationBlock, stages
from lossforge.validation import require, require_in_range


@final
@dataclass(frozen=True)
class WideResNet(Family):
    """Three stages of pre-activation blocks, `widen` times 16, 32 and 64 channels wide.

    Args:
        depth: convolutions and the dense layer; 4 above a multiple of 6.
        widen: factor of the width.
        dropout: share dropped inside each block.

    Examples:
        >>> network = WideResNet(depth=16, widen=8).build((3, 32, 32), outputs=10)
        >>> round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1)
        11.0
    """

    name: ClassVar[str] = "wideresnet"

    depth: int = 28
    widen: int = 10
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_in_range("widen", self.widen, 1)
        require_in_range("dropout", self.dropout, 0, 0.99)
        require(
            self.depth >= 10 and self.depth % 6 == 4,
            f"depth must be 4 above a multiple of 6, such as 16, 28 or 40, not {self.depth}",
        )

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images [channels, height, width] of at least 8x8."""
        channels, _, _ = require_images(self.name, input_shape, 8)
        count, widest = (self.depth - 4) // 6, 64 * self.widen
        plan = [(factor * self.widen, count) for factor in (16, 32, 64)]
        block = partial(PreActivationBlock, dropout=self.dropout)
        return nn.Sequential(
            he_convolution(channels, 16, 3),
            *stages(block, 16, plan),
            *[nn.BatchNorm2d(widest), nn.ReLU(), GlobalMean(), dense(widest, outputs)],
        )
