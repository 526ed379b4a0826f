"""Linear and logistic regression."""

import math
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from lossforge.models.family import Family
from lossforge.models.layers import dense


@final
@dataclass(frozen=True)
class Linear(Family):
    """One dense layer on the flattened inputs.

    Examples:
        >>> Linear().build((1, 8, 8), outputs=10)
        Sequential(
          (0): Flatten(start_dim=1, end_dim=-1)
          (1): Linear(in_features=64, out_features=10, bias=True)
        )
    """

    name: ClassVar[str] = "linear"

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for inputs of any shape."""
        return nn.Sequential(nn.Flatten(), dense(math.prod(input_shape), outputs))
