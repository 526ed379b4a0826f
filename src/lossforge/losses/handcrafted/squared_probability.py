"""The Brier score."""

from typing import final

from torch import Tensor

from lossforge.losses.handcrafted.base import Classification


@final
class SquaredProbability(Classification):
    """Squared error of the probabilities, summed over the classes: the Brier score.

    Source: Brier 1950.

    Examples:
        >>> import torch
        >>> SquaredProbability()(torch.zeros(1, 2), torch.tensor([0])).item()
        0.5
    """

    name = "squared_probability"

    def formula(self) -> str:
        return "(p - y)**2"

    def torch_source(self) -> str:
        return "values = (p - y).square()"

    def terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        return (log_p.exp() - y).square()
