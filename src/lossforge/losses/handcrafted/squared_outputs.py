"""Squared error of the raw outputs."""

from typing import ClassVar, Unpack, final

import torch
from torch import Tensor

from lossforge.losses.handcrafted.base import Handcrafted, Setting
from lossforge.losses.loss import LabelOptions, Reduction
from lossforge.tasks import kinds
from lossforge.tasks.kinds import Kind
from lossforge.validation import require_in_range


@final
class SquaredOutputs(Handcrafted):
    """Squared error of the raw outputs from `scale` for the target and 0 for other classes.

    Source: Hui and Belkin 2021, Eq. (1) and Sec. 4, who have scale 1 for few classes, 15 or 30 with
    a target_weight of 1 or 15 for many, and divide by C; here outputs are summed, as by every loss.
    The default scale of 4 makes the softmax of a fitted output confident: 0.86 for ten classes.

    A single output z is trained towards `scale` for class 1 and -`scale` for class 0.

    Args:
        scale: of the one-hot targets.
        target_weight: factor on the square of the target's output.
        reduction: as in PyTorch.

    Examples:
        >>> SquaredOutputs(scale=3.0)(torch.tensor([[1.0, 2.0]]), torch.tensor([1])).item()
        2.0
        >>> SquaredOutputs(scale=3.0)(torch.tensor([[1.0]]), torch.tensor([0])).item()
        16.0
    """

    name = "squared_outputs"
    of_kind: ClassVar[Kind] = kinds.Classification()
    settings = (
        Setting("scale", 0.5, 60.0, logarithmic=True),
        Setting("target_weight", 0.5, 30.0, logarithmic=True),
    )

    def __init__(
        self,
        scale: float = 4.0,
        target_weight: float = 1.0,
        reduction: Reduction = "mean",
        **labels: Unpack[LabelOptions],
    ):
        super().__init__(reduction, **labels)
        require_in_range("scale", scale, 0, exclude_low=True)
        require_in_range("target_weight", target_weight, 0, exclude_low=True)
        self.scale, self.target_weight = scale, target_weight

    def formula(self) -> str:
        return f"(1 + {self.target_weight - 1!r}*y)*(z - {self.scale!r}*y)**2"

    def torch_source(self) -> str:
        return f"""\
weight = 1 + {self.target_weight - 1!r} * y
if outputs.shape[1] == 1:
    y, weight = 2 * y - 1, {self.target_weight!r}
values = weight * (outputs - {self.scale!r} * y).square()"""

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        y, z = self.kind.encode(targets, outputs), outputs
        if z.shape[1] == 1:
            sides = self.scale * (2 * y - 1)
            return self.target_weight * (z - sides).square().sum(1)
        weight = torch.add(1, y, alpha=self.target_weight - 1)
        return (weight * (z - self.scale * y).square()).sum(1)
