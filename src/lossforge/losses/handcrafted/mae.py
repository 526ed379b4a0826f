"""Absolute error."""

from typing import final

from torch import Tensor

from lossforge.losses.handcrafted.base import Regression


@final
class Absolute(Regression):
    """Absolute error.

    Examples:
        >>> import torch
        >>> Absolute()(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item()
        2.0
    """

    name = "mae"

    def formula(self) -> str:
        return "abs(p - y)"

    def torch_source(self) -> str:
        return "values = (p - y).abs()"

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        return (p - y).abs()
