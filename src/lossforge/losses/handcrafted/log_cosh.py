"""The log-cosh loss."""

import math
from typing import Unpack, final

import torch.nn.functional as F
from torch import Tensor

from lossforge.losses.handcrafted.base import Regression, Setting
from lossforge.losses.loss import LabelOptions, Reduction
from lossforge.validation import require_in_range


@final
class LogCosh(Regression):
    """log cosh(error/scale): half the square of a small error/scale, linear for large ones.

    Source: Green 1990; Saleh and Saleh 2022.

    Examples:
        >>> import torch
        >>> round(LogCosh()(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item(), 4)
        1.325
    """

    name = "log_cosh"
    settings = (Setting("scale", 0.03, 3.0, logarithmic=True),)

    def __init__(
        self, scale: float = 1.0, reduction: Reduction = "mean", **labels: Unpack[LabelOptions]
    ):
        super().__init__(reduction, **labels)
        require_in_range("scale", scale, 0, exclude_low=True)
        self.scale = scale

    def formula(self) -> str:
        error = f"abs(p - y)/{self.scale!r}"
        return f"{error} + log(1 + exp(-2*{error})) - log(2)"

    def torch_source(self) -> str:
        return f"""\
error = (p - y) / {self.scale!r}
values = error - F.logsigmoid(2 * error) - math.log(2)"""

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        error = (p - y) / self.scale
        # It neither overflows for large errors nor has a kink at zero, as |error| would.
        return error - F.logsigmoid(2 * error) - math.log(2)
