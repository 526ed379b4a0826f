"""Deep pyramidal residual networks (Han et al. 2017), with additive widening."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.models.family import Family
from lossforge.models.layers import dense
from lossforge.models.pictures import GlobalMean, he_convolution, require_images
from lossforge.validation import require, require_in_range

FIRST = 16


@final
@dataclass(frozen=True)
class PyramidNet(Family):
    """Basic blocks that widen a little each, from 16 channels to 16 + alpha.

    Args:
        depth: convolutions and the dense layer; 2 above a multiple of 6.
        alpha: channels gained over all blocks.

    Examples:
        >>> network = PyramidNet(depth=110, alpha=48).build((3, 32, 32), outputs=10)
        >>> round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1)
        1.7
    """

    name: ClassVar[str] = "pyramidnet"

    depth: int = 110
    alpha: int = 48

    def __post_init__(self) -> None:
        require_in_range("alpha", self.alpha, 1)
        require(
            self.depth >= 8 and self.depth % 6 == 2,
            f"depth must be 2 above a multiple of 6, such as 20 or 110, not {self.depth}",
        )

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images [channels, height, width] of at least 8x8."""
        channels, _, _ = require_images(self.name, input_shape, 8)
        count = (self.depth - 2) // 6
        # Eq. (2): the width grows by alpha / 3n a block and is rounded down.
        widths = [FIRST + self.alpha * k // (3 * count) for k in range(3 * count + 1)]
        blocks = [
            _PyramidBlock(before, after, stride=2 if k in (count, 2 * count) else 1)
            for k, (before, after) in enumerate(pairwise(widths))
        ]
        return nn.Sequential(
            *[he_convolution(channels, FIRST, 3), nn.BatchNorm2d(FIRST), *blocks],
            *[nn.BatchNorm2d(widths[-1]), nn.ReLU(), GlobalMean(), dense(widths[-1], outputs)],
        )


@final
class _PyramidBlock(nn.Module):
    """Norm, convolution, norm, ReLU, convolution, norm; the shortcut has no parameters."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.residue = nn.Sequential(
            *[nn.BatchNorm2d(inputs), he_convolution(inputs, outputs, 3, stride)],
            *[nn.BatchNorm2d(outputs), nn.ReLU(), he_convolution(outputs, outputs, 3)],
            nn.BatchNorm2d(outputs),
        )
        self.stride, self.added = stride, outputs - inputs

    def forward(self, images: Tensor) -> Tensor:
        kept = F.avg_pool2d(images, 2, ceil_mode=True) if self.stride == 2 else images
        summed: Tensor = self.residue(images) + F.pad(kept, (0, 0, 0, 0, 0, self.added))
        return summed
