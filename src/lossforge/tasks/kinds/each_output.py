"""Kinds of which each output is a row of its own."""

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lossforge.errors import DataError
from lossforge.tasks.kinds.kind import Kind
from lossforge.tasks.rows import Rows


@dataclass(frozen=True)
class EachOutput(Kind, ABC):
    """A kind whose outputs [B, C, ...] are rows of their own; targets are shaped alike.

    Attributes:
        output_word: what messages call an output.
    """

    output_word: ClassVar[str] = "output"

    def row_shape(self, shape: torch.Size) -> torch.Size:
        """Return [B, C, ...]."""
        return shape

    def term_weights(self, weight: Tensor, rows: Rows) -> Tensor:
        """Return the weights [C] of the outputs, one for each row, [N, 1]."""
        return by_output(weight, rows, self.output_word)

    def row_weights(self, term_weights: Tensor, rows: Rows) -> Tensor:
        """Return the weights of the rows' outputs."""
        del rows
        return term_weights[:, 0]

    def count_outputs(self, targets: Tensor) -> int:
        """Return the numbers of an example."""
        return int(targets.shape[1]) if targets.dim() > 1 else 1

    def output_shape(self, outputs: int, targets: Tensor) -> tuple[int, ...]:
        """Return the targets' shape."""
        del outputs
        return tuple(targets.shape)


def by_output(weight: Tensor, rows: Rows, what: str) -> Tensor:
    """Return weights [C] of the second dimension of outputs, one for each row, [N, 1]."""
    shape = rows.shape
    count = shape[1] if len(shape) > 1 else 1
    if weight.shape != (count,):
        raise DataError(
            f"weight of shape {tuple(weight.shape)} must hold {count} numbers, one for each {what}"
        )
    along = weight.to(rows.outputs.dtype).view(-1, *[1] * max(0, len(shape) - 2))
    return along.expand(shape).reshape(-1, 1)
