"""The Poly-1 loss."""

from typing import Unpack, final

import torch
from torch import Tensor

from lossforge.losses.handcrafted.base import Classification, Setting
from lossforge.losses.loss import LabelOptions, Reduction
from lossforge.validation import require_in_range


@final
class Poly1(Classification):
    """Cross-entropy plus epsilon times 1 - p: its expansion in 1 - p with another first term.

    Source: Leng et al. 2022 (PolyLoss), Eq. (5) and Table 4. Below -1, a step away from the target
    would lower the loss near p = 1.

    Examples:
        >>> loss = Poly1(2.0)
        >>> round(loss(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
        1.6931
    """

    name = "poly1"
    settings = (Setting("epsilon", -0.95, 20.0),)

    def __init__(
        self, epsilon: float = 1.0, reduction: Reduction = "mean", **labels: Unpack[LabelOptions]
    ):
        super().__init__(reduction, **labels)
        require_in_range("epsilon", epsilon, -1)
        self.epsilon = epsilon

    def formula(self) -> str:
        return f"y*({self.epsilon!r}*(1 - p) - log(p))"

    def torch_source(self) -> str:
        return f"values = -y * ({self.epsilon!r} * torch.expm1(log_p) + log_p)"

    def terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        return -y * (self.epsilon * torch.expm1(log_p) + log_p)
