"""The likelihood of errors with heavy tails."""

from typing import Unpack, final

from torch import Tensor

from lossforge.losses.handcrafted.base import Regression, Setting
from lossforge.losses.loss import LabelOptions, Reduction
from lossforge.validation import require_in_range


@final
class StudentT(Regression):
    """Negative log-likelihood of errors that are Student-t distributed, zero at no error.

    (df + 1)/2 · log(1 + error²/(df·scale²)). Source: Lange, Little and Taylor 1989. Up to a factor
    it is `Cauchy` with scale·√df.

    Args:
        df: degrees of freedom; the fewer, the less far outliers count.
        scale: of the errors.
        reduction: as in PyTorch.

    Examples:
        >>> import torch
        >>> round(StudentT(df=1.0)(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item(), 4)
        1.6094
    """

    name = "student_t"
    settings = (Setting("df"), Setting("scale", 0.03, 10.0, logarithmic=True))

    def __init__(
        self,
        df: float = 4.0,
        scale: float = 1.0,
        reduction: Reduction = "mean",
        **labels: Unpack[LabelOptions],
    ):
        super().__init__(reduction, **labels)
        require_in_range("df", df, 0, exclude_low=True)
        require_in_range("scale", scale, 0, exclude_low=True)
        self.df, self.scale = df, scale

    def formula(self) -> str:
        return f"{(self.df + 1) / 2!r}*log(1 + ((p - y)/{self.scale!r})**2/{self.df!r})"

    def torch_source(self) -> str:
        ratio = f"((p - y) / {self.scale!r}).square() / {self.df!r}"
        return f"values = {(self.df + 1) / 2!r} * torch.log1p({ratio})"

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        ratio = ((p - y) / self.scale).square() / self.df
        return (self.df + 1) / 2 * ratio.log1p()
