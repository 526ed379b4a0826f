"""The focal loss."""

from typing import Unpack, final

import torch
from torch import Tensor

from lossforge.losses.handcrafted.base import Classification, Setting
from lossforge.losses.loss import LabelOptions, Reduction
from lossforge.validation import require_in_range


@final
class Focal(Classification):
    """Cross-entropy weighted by (1 - p)^gamma: easy examples count for less.

    Source: Lin et al. 2017, Eq. (4), without class weights.

    Examples:
        >>> from lossforge.losses import CrossEntropy
        >>> logits, label = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
        >>> bool(Focal(gamma=0.0)(logits, label) == CrossEntropy()(logits, label))
        True
    """

    name = "focal"
    settings = (Setting("gamma", 0.05, 6.0),)

    def __init__(
        self, gamma: float = 2.0, reduction: Reduction = "mean", **labels: Unpack[LabelOptions]
    ):
        super().__init__(reduction, **labels)
        require_in_range("gamma", gamma, 0)
        self.gamma = gamma

    def formula(self) -> str:
        return f"-y*(1 - p)**{self.gamma!r}*log(p)"

    def torch_source(self) -> str:
        miss = "(-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)"
        return f"values = -y * {miss}.pow({self.gamma!r}) * log_p"

    def terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        # The floor keeps the power's slope finite at p = 1, where 0 < gamma < 1 has none.
        miss = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
        return -(y * miss.pow(self.gamma) * log_p)
