"""Kinds whose outputs are compared with values."""

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from lossforge.errors import ConfigurationError, DataError
from lossforge.tasks.kinds.each_output import EachOutput
from lossforge.tasks.rows import Rows, full_precision


@dataclass(frozen=True)
class Values(EachOutput, ABC):
    """A kind whose outputs are rows of their own, each compared with a value.

    Outputs and targets are [B, C, ...]; the dimension of a single output may be left out of the
    targets.
    """

    predicts_probabilities: ClassVar[bool] = False
    metric_is_rate: ClassVar[bool] = False
    target_source: ClassVar[str] = """\
    y = (targets if targets.shape == outputs.shape else targets.unsqueeze(1)).to(outputs.dtype)
    outputs, y = outputs.unsqueeze(1), y.unsqueeze(1)
"""

    def with_ignore_index(self, index: int) -> Self:
        """Raise a `ConfigurationError`: there are no labels."""
        raise ConfigurationError(
            f"{self} has no labels, so ignore_index={index} means nothing; leave it out, or "
            "give sample weights of 0"
        )

    def rows(self, outputs: Tensor, targets: Tensor) -> Rows:
        """Return a row of one number for each output."""
        outputs = full_precision(outputs)
        shape = outputs.shape if self.is_common(outputs, targets) else outputs.shape[1:]
        without = shape[:1] + shape[2:]
        is_single = len(shape) > 1 and shape[1] == 1 and targets.shape == without
        if targets.shape != shape and not is_single:
            raise DataError(
                f"targets of shape {tuple(targets.shape)} do not fit outputs of shape "
                f"{tuple(shape)}; give values of the outputs' shape"
            )
        values = targets.to(outputs.dtype).reshape(-1, 1)
        return Rows(self, self.to_rows(outputs, shape), values, None, shape)

    def to_rows(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """Return [..., N, 1] for a tensor [..., B, C, ...]."""
        return tensor.reshape(*tensor.shape[: tensor.dim() - len(shape)], -1, 1)

    def from_rows(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """Return [..., B, C, ...] for a tensor [..., N, 1]."""
        return tensor.reshape(*tensor.shape[:-2], *shape)

    def row_size(self, outputs: int) -> int:
        """Return 1."""
        del outputs
        return 1

    def encode(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Return the targets, typed like the outputs."""
        return targets.to(outputs.dtype)

    def masses(self, term_weights: Tensor, rows: Rows) -> Tensor | None:
        """Return the outputs' weights."""
        del rows
        return term_weights[:, 0]

    def prepare(self, targets: Tensor) -> Tensor:
        """Return float32 with a dimension of outputs."""
        return (targets[:, None] if targets.dim() == 1 else targets).float()
