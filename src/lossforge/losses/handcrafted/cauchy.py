"""The Cauchy loss."""

from typing import Unpack, final

from torch import Tensor

from lossforge.losses.handcrafted.base import Regression, Setting
from lossforge.losses.loss import LabelOptions, Reduction
from lossforge.validation import require_in_range


@final
class Cauchy(Regression):
    """log(1 + (error/scale)²): far outliers hardly count.

    Source: Black and Anandan 1996 (there: Lorentzian), up to a factor in the scale.

    Examples:
        >>> import torch
        >>> round(Cauchy()(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item(), 4)
        1.6094
    """

    name = "cauchy"
    settings = (Setting("scale", 0.03, 10.0, logarithmic=True),)

    def __init__(
        self, scale: float = 1.0, reduction: Reduction = "mean", **labels: Unpack[LabelOptions]
    ):
        super().__init__(reduction, **labels)
        require_in_range("scale", scale, 0, exclude_low=True)
        self.scale = scale

    def formula(self) -> str:
        return f"log(1 + ((p - y)/{self.scale!r})**2)"

    def torch_source(self) -> str:
        return f"values = torch.log1p(((p - y) / {self.scale!r}).square())"

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        return ((p - y) / self.scale).square().log1p()
