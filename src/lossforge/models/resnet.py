"""ResNet-18 for small images, with activations after the sums or before the convolutions."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from lossforge.models.family import Family
from lossforge.models.layers import dense
from lossforge.models.pictures import GlobalMean, he_convolution, normalized, require_images
from lossforge.models.residual import BasicBlock, PreActivationBlock, stages
from lossforge.validation import require_in_range

BLOCKS = 2


@dataclass(frozen=True)
class _ResNet(Family, ABC):
    width: int = 64

    def __post_init__(self) -> None:
        require_in_range("width", self.width, 1)

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images [channels, height, width] of at least 8x8."""
        channels, _, _ = require_images(self.name, input_shape, 8)
        plan = [(self.width * factor, BLOCKS) for factor in (1, 2, 4, 8)]
        widest = 8 * self.width
        return nn.Sequential(
            *self._body(channels, plan, widest), GlobalMean(), dense(widest, outputs)
        )

    @abstractmethod
    def _body(self, channels: int, plan: list[tuple[int, int]], widest: int) -> list[nn.Module]:
        """Return all layers before the mean."""


@final
@dataclass(frozen=True)
class ResNet18(_ResNet):
    """Eight residual blocks of 64 to 512 channels (He et al. 2016) after one 3x3 convolution.

    Args:
        width: channels of the first stage.

    Examples:
        >>> network = ResNet18().build((3, 32, 32), outputs=10)
        >>> sum(parameter.numel() for parameter in network.parameters())
        11173962
    """

    name: ClassVar[str] = "resnet18"

    def _body(self, channels: int, plan: list[tuple[int, int]], widest: int) -> list[nn.Module]:
        return [*normalized(channels, self.width, 3), *stages(BasicBlock, self.width, plan)]


@final
@dataclass(frozen=True)
class PreActResNet18(_ResNet):
    """ResNet-18 with norm and ReLU before each convolution (He et al. 2016b).

    Args:
        width: channels of the first stage.

    Examples:
        >>> network = PreActResNet18().build((3, 32, 32), outputs=10)
        >>> round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2)
        11.17
    """

    name: ClassVar[str] = "preact_resnet18"

    def _body(self, channels: int, plan: list[tuple[int, int]], widest: int) -> list[nn.Module]:
        return [
            he_convolution(channels, self.width, 3),
            *stages(PreActivationBlock, self.width, plan),
            *[nn.BatchNorm2d(widest), nn.ReLU()],
        ]
