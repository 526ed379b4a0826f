"""Squared error."""

from typing import final

from torch import Tensor

from lossforge.losses.handcrafted.base import Regression


@final
class Squared(Regression):
    """Squared error.

    Examples:
        >>> import torch
        >>> Squared()(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item()
        4.0
    """

    name = "mse"

    def formula(self) -> str:
        return "(p - y)**2"

    def torch_source(self) -> str:
        return "values = (p - y).square()"

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        return (p - y).square()
