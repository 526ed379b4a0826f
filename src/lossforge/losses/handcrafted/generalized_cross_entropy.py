"""Generalized cross-entropy."""

from typing import Unpack, final

import torch
from torch import Tensor

from lossforge.losses.handcrafted.base import Classification, Setting
from lossforge.losses.loss import LabelOptions, Reduction
from lossforge.validation import require_in_range


@final
class GeneralizedCrossEntropy(Classification):
    """(1 - p^power)/power of the target: from cross-entropy (power near 0) to 1 - p (power 1).

    Source: Zhang and Sabuncu 2018, Eq. (6), without truncation.

    Examples:
        >>> loss = GeneralizedCrossEntropy(1.0)
        >>> loss(torch.zeros(1, 4), torch.tensor([0])).item()
        0.75
    """

    name = "generalized_cross_entropy"
    settings = (Setting("power", 0.05, 0.95),)

    def __init__(
        self, power: float = 0.7, reduction: Reduction = "mean", **labels: Unpack[LabelOptions]
    ):
        super().__init__(reduction, **labels)
        require_in_range("power", power, 0, 1, exclude_low=True)
        self.power = power

    def formula(self) -> str:
        return f"y*(1 - p**{self.power!r})/{self.power!r}"

    def torch_source(self) -> str:
        return f"values = -y * torch.expm1({self.power!r} * log_p) / {self.power!r}"

    def terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        return -y * torch.expm1(self.power * log_p) / self.power
