"""Symmetric cross-entropy."""

import math
from typing import Unpack, final

from torch import Tensor

from lossforge.losses.handcrafted.base import Classification, Setting
from lossforge.losses.loss import LabelOptions, Reduction
from lossforge.validation import require_in_range

LOG_ZERO = -4.0
"""What stands for log 0 in the reverse cross-entropy, as in the paper's text; its code has -9.2."""


@final
class SymmetricCrossEntropy(Classification):
    """alpha times cross-entropy plus beta times the reverse one, -p·log y with log 0 = -4.

    Source: Wang et al. 2019, Eq. (7). For labels, the reverse cross-entropy is 4·(1 - p) of the
    target, so the loss is `Poly1` with epsilon = 4·beta/alpha, times alpha; for probabilities as
    targets they differ.

    Examples:
        >>> import torch
        >>> loss = SymmetricCrossEntropy(alpha=1.0, beta=0.5)
        >>> round(loss(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
        1.6931
    """

    name = "symmetric_cross_entropy"
    settings = (Setting("alpha"), Setting("beta", 0.01, 30.0, logarithmic=True))

    def __init__(
        self,
        alpha: float = 0.1,
        beta: float = 1.0,
        reduction: Reduction = "mean",
        **labels: Unpack[LabelOptions],
    ):
        super().__init__(reduction, **labels)
        require_in_range("alpha", alpha, 0)
        require_in_range("beta", beta, 0)
        self.alpha, self.beta = alpha, beta

    def formula(self) -> str:
        reverse = f"p*log(max(y, {math.exp(LOG_ZERO)!r}))"
        return f"-{self.alpha!r}*y*log(p) - {self.beta!r}*{reverse}"

    def torch_source(self) -> str:
        reverse = f"p * y.clamp_min({math.exp(LOG_ZERO)!r}).log()"
        return f"values = -{self.alpha!r} * y * log_p - {self.beta!r} * {reverse}"

    def terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        reverse = log_p.exp() * y.clamp_min(math.exp(LOG_ZERO)).log()
        return -self.alpha * y * log_p - self.beta * reverse
