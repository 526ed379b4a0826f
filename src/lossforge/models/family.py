"""What a family of networks is: options, and a network built from them for any task."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import nn


@dataclass(frozen=True)
class Family(ABC):
    """A family of networks; its subclasses are frozen dataclasses of its options.

    `name` selects it: ``name:option=value,...``.
    """

    name: ClassVar[str]

    @abstractmethod
    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return a freshly initialized network, drawn from torch's global generator.

        Args:
            input_shape: the shape of one row of the inputs.
            outputs: values that the network gives for each row.

        Raises:
            ConfigurationError: the family takes no inputs of that shape.
        """
