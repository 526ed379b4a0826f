"""Barron's family of robust losses."""

from typing import Unpack, final

import torch
from torch import Tensor

from lossforge.losses.handcrafted.base import Regression, Setting
from lossforge.losses.loss import LabelOptions, Reduction
from lossforge.validation import require_in_range


@final
class Barron(Regression):
    """Barron's general robust loss: squared error, Charbonnier, Cauchy, Geman-McClure in one.

    Source: Barron 2019, Eq. (8): with x = error/scale and b = |alpha - 2|,
    b/alpha · ((x²/b + 1)^(alpha/2) - 1), and its limits x²/2 at alpha = 2 and log(x²/2 + 1) at 0.

    Args:
        alpha: shape, at most 2; the lower, the less far outliers count.
        scale: of the errors from which on that shows.
        reduction: as in PyTorch.

    Examples:
        >>> Barron(alpha=2.0)(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item()
        2.0
    """

    name = "barron"
    settings = (Setting("alpha", -4.0, 1.95), Setting("scale", 0.03, 10.0, logarithmic=True))

    def __init__(
        self,
        alpha: float = 1.0,
        scale: float = 1.0,
        reduction: Reduction = "mean",
        **labels: Unpack[LabelOptions],
    ):
        super().__init__(reduction, **labels)
        require_in_range("alpha", alpha, high=2)
        require_in_range("scale", scale, 0, exclude_low=True)
        self.alpha, self.scale = alpha, scale

    def formula(self) -> str:
        square, b = f"((p - y)/{self.scale!r})**2", 2 - self.alpha
        if self.alpha == 2:
            return f"{square}/2"
        if self.alpha == 0:
            return f"log({square}/2 + 1)"
        return f"{b / self.alpha!r}*(({square}/{b!r} + 1)**{self.alpha / 2!r} - 1)"

    def torch_source(self) -> str:
        square, b = f"((p - y) / {self.scale!r}).square()", 2 - self.alpha
        if self.alpha == 2:
            return f"values = {square} / 2"
        if self.alpha == 0:
            return f"values = torch.log1p({square} / 2)"
        power = f"torch.expm1({self.alpha / 2!r} * torch.log1p({square} / {b!r}))"
        return f"values = {b / self.alpha!r} * {power}"

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        square, b = ((p - y) / self.scale).square(), 2 - self.alpha
        if self.alpha == 2:
            return square / 2
        if self.alpha == 0:
            return (square / 2).log1p()
        # expm1 and log1p keep the digits of small errors, and of an alpha near 0.
        return b / self.alpha * torch.expm1(self.alpha / 2 * (square / b).log1p())
