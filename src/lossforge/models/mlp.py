"""The multilayer perceptron (thesis, ch. 4-6: two hidden layers of 1000)."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, final

from torch import nn

from lossforge.models.family import Family
from lossforge.models.layers import dense
from lossforge.validation import require_in_range


@final
@dataclass(frozen=True)
class MLP(Family):
    """Dense hidden layers with ReLU on the flattened inputs.

    Args:
        width: units of each hidden layer.
        depth: hidden layers.

    Raises:
        ConfigurationError: an option is below 1.

    Examples:
        >>> network = MLP(width=32).build((64,), outputs=10)
        >>> sum(parameter.numel() for parameter in network.parameters())
        3466
    """

    name: ClassVar[str] = "mlp"

    width: int = 1000
    depth: int = 2

    def __post_init__(self) -> None:
        require_in_range("width", self.width, 1)
        require_in_range("depth", self.depth, 1)

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for inputs of any shape."""
        widths = [math.prod(input_shape), *[self.width] * self.depth]
        hidden = [layer for pair in pairwise(widths) for layer in (dense(*pair), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, dense(self.width, outputs))
