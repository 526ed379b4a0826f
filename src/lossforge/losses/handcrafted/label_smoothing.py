"""Label smoothing."""

from typing import Unpack, final

import torch.nn.functional as F
from torch import Tensor

from lossforge.losses.handcrafted.base import Classification, Setting
from lossforge.losses.loss import LabelOptions, Reduction
from lossforge.validation import require_in_range


@final
class LabelSmoothing(Classification):
    """Cross-entropy against targets that give a share `smoothing` to all classes alike.

    Source: Szegedy et al. 2016; the same numbers as PyTorch's `label_smoothing`.

    Examples:
        >>> print(LabelSmoothing(0.2))
        label_smoothing:smoothing=0.2
    """

    name = "label_smoothing"
    settings = (Setting("smoothing", 0.005, 0.9),)

    def __init__(
        self, smoothing: float = 0.1, reduction: Reduction = "mean", **labels: Unpack[LabelOptions]
    ):
        super().__init__(reduction, **labels)
        require_in_range("smoothing", smoothing, 0, 1)
        self.smoothing = smoothing

    def formula(self) -> str:
        return f"-(y*{1 - self.smoothing!r} + {self.smoothing!r}/C)*log(p)"

    def torch_source(self) -> str:
        shares = f"(y * {1 - self.smoothing!r} + {self.smoothing!r} / y.shape[1])"
        return f"values = -{shares} * log_p"

    def from_logits(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, reduction="none", label_smoothing=self.smoothing)

    def terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        return -(y * (1 - self.smoothing) + self.smoothing / y.shape[1]) * log_p
