"""Cross-entropy."""

from typing import final

import torch.nn.functional as F
from torch import Tensor

from lossforge.losses.handcrafted.base import Classification


@final
class CrossEntropy(Classification):
    """Cross-entropy, -log of the target's probability.

    Examples:
        >>> import torch
        >>> round(CrossEntropy()(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
        0.6931
    """

    name = "cross_entropy"

    def formula(self) -> str:
        return "-y*log(p)"

    def torch_source(self) -> str:
        return "values = -y * log_p"

    def from_logits(self, logits: Tensor, targets: Tensor) -> Tensor:
        # PyTorch's own does not make one-hot targets of labels.
        return F.cross_entropy(logits, targets, reduction="none")

    def terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        return -y * log_p
