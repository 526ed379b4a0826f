"""Values, of which each output has one of its own."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from lossforge.tasks.kinds.checks import check_type
from lossforge.tasks.kinds.kind import Require, Words
from lossforge.tasks.kinds.values import Values
from lossforge.tasks.rows import Rows


@final
@dataclass(frozen=True)
class Regression(Values):
    """Values: each output is compared with a number of its own.

    Outputs and targets are [B, C, ...]; the dimension of a single output may be left out of the
    targets.

    Examples:
        >>> Regression().rows(torch.zeros(5, 3), torch.ones(5, 3)).outputs.shape
        torch.Size([15, 1])
    """

    name: ClassVar[str] = "regression"
    family: ClassVar[str] = "regression"
    metric: ClassVar[str] = "mse"
    default_loss: ClassVar[str] = "mse"
    rivals: ClassVar[tuple[str, ...]] = (
        "mse",
        "mae",
        "huber:delta=0.1",
        "huber:delta=0.3",
        "huber:delta=1",
        "log_cosh",
        "student_t",
    )
    words: ClassVar[Words] = Words(
        default_loss="squared error",
        prediction="prediction p",
        position="error p - y",
        pull="pull towards the target",
        row="error",
        targets="values [B, C]",
        prepared="p is the output, y the target",
    )
    prediction_source: ClassVar[str] = """\
    p = outputs
"""

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the outputs."""
        return outputs

    def pull_back(self, cotangent: Tensor, p: Tensor) -> Tensor:
        """Return the derivative as it is."""
        del p
        return cotangent

    def default_values(self, y: Tensor, p: Tensor) -> Tensor:
        """Return the squared error."""
        return (p - y).square()

    def row_scores(self, rows: Rows) -> Tensor:
        """Return the squared errors."""
        return (rows.outputs - rows.targets).square().squeeze(-1)

    def check_targets(self, part: str, targets: Tensor, outputs: int, need: Require) -> None:
        """Check that targets are finite values."""
        fits = targets.dtype == torch.float32 and targets.shape[1:2] == (outputs,)
        check_type(self, part, targets, fits, f"float32 [rows, {outputs}]", need)
        need(
            bool(targets.isfinite().all()),
            f"the {part} split holds NaN, infinite or float32-exceeding values; mend them",
        )

    def check_learnable(
        self, targets: Tensor, outputs: int, names: tuple[str, ...], need: Require
    ) -> None:
        """Check that each output's target varies."""
        del outputs, names
        varied = bool((targets != targets[0]).any(dim=0).all())
        need(varied, "the target is constant on the training rows; nothing to learn")
