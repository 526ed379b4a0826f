"""Absolute error of the probabilities."""

from typing import final

from torch import Tensor

from lossforge.losses.handcrafted.base import Classification


@final
class AbsoluteProbability(Classification):
    """Absolute error of the probabilities, summed over the classes: 1 - p of the target, twice.

    Source: Ghosh, Kumar and Sastry 2017, who show that it withstands mislabeled rows.

    Examples:
        >>> import torch
        >>> AbsoluteProbability()(torch.zeros(1, 2), torch.tensor([0])).item()
        1.0
    """

    name = "absolute_probability"

    def formula(self) -> str:
        return "abs(p - y)"

    def torch_source(self) -> str:
        return "values = (p - y).abs()"

    def terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        return (log_p.exp() - y).abs()
