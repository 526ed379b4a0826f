"""The Huber loss."""

from typing import Unpack, final

import torch.nn.functional as F
from torch import Tensor

from lossforge.losses.handcrafted.base import Regression, Setting
from lossforge.losses.loss import LabelOptions, Reduction
from lossforge.validation import require_in_range


@final
class Huber(Regression):
    """Squared error up to `delta`, linear beyond it.

    Source: Huber 1964; the same numbers as `torch.nn.HuberLoss`.

    Examples:
        >>> import torch
        >>> Huber(delta=1.0)(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item()
        1.5
    """

    name = "huber"
    settings = (Setting("delta", 0.03, 3.0, logarithmic=True),)

    def __init__(
        self, delta: float = 1.0, reduction: Reduction = "mean", **labels: Unpack[LabelOptions]
    ):
        super().__init__(reduction, **labels)
        require_in_range("delta", delta, 0, exclude_low=True)
        self.delta = delta

    def formula(self) -> str:
        near = f"min(abs(p - y), {self.delta!r})"
        return f"{near}*(abs(p - y) - {near}/2)"

    def torch_source(self) -> str:
        return f"values = F.huber_loss(p, y, reduction='none', delta={self.delta!r})"

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        return F.huber_loss(p, y, reduction="none", delta=self.delta)
