"""Outputs and targets as rows: what a loss compares is one matrix, whatever the network gives."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never, final

import torch
from torch import Tensor

from lossforge.errors import DataError

if TYPE_CHECKING:
    from lossforge.tasks.kinds import Kind

Reduction = Literal["mean", "sum", "none"]


def is_recorded() -> bool:
    """Tell whether PyTorch records operations, by tracing or exporting, to repeat them later."""
    return torch._C._get_tracing_state() is not None or torch.compiler.is_exporting()


def full_precision(tensor: Tensor) -> Tensor:
    """Return the tensor in float32 if it has less; losses lose too much in half precision."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """A batch with each of its predictions as a row, made by `Kind.rows`.

    Attributes:
        kind: that made them.
        outputs: [N, K], or [P, N, K] where each of P losses sees outputs of its own.
        targets: labels [N] in 0..K-1 (0 or 1 where K is 1), int64; or values [N, K].
        ignored: rows that do not count, [N], boolean; None where all count.
        shape: of the network's outputs for one loss, [B, C, ...].
    """

    kind: "Kind"
    outputs: Tensor
    targets: Tensor
    ignored: Tensor | None
    shape: torch.Size

    def flattened(self, tensor: Tensor) -> Tensor:
        """Return a direction in the outputs, [..., B, C, ...], as one in the rows, [..., N, K]."""
        return self.kind.to_rows(tensor, self.shape)

    def restored(self, tensor: Tensor) -> Tensor:
        """Return a derivative by the rows, [..., N, K], as one by the outputs, [..., B, C, ...]."""
        return self.kind.from_rows(tensor, self.shape)

    def by_position(self, values: Tensor) -> Tensor:
        """Return one number for each row, [N], where its target stands: [B, ...] or [B, C, ...]."""
        return values.reshape(self.kind.row_shape(self.shape))

    def averaged(
        self, tensor: Tensor, weights: Tensor | None = None, masses: Tensor | None = None
    ) -> Tensor:
        """Return each row's share [..., N, K] of a mean over the rows that count.

        Args:
            tensor: what is averaged, [..., N, K].
            weights: factors on the rows, [N]; None for 1.
            masses: how much each row counts in what the mean divides by, [N]; None for 1.
        """
        if weights is not None:
            tensor = tensor * weights[:, None]
        if masses is not None:
            counted = masses if self.ignored is None else masses.masked_fill(self.ignored, 0)
            shares = tensor / counted.sum()
            return shares if self.ignored is None else shares.masked_fill(self.ignored[:, None], 0)
        if self.ignored is None:
            return tensor / tensor.shape[-2]
        return tensor.masked_fill(self.ignored[:, None], 0) / (~self.ignored).sum()

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of values [..., N] over the rows that count, [...]."""
        if self.ignored is None:
            return values.mean(-1)
        return values.masked_fill(self.ignored, 0).sum(-1) / (~self.ignored).sum()

    def reduced(self, values: Tensor, masses: Tensor | None, reduction: Reduction) -> Tensor:
        """Return one number for each row, [N], reduced; those that do not count are 0.

        Args:
            values: of the rows.
            masses: how much each row counts in a mean, [N]; None where each counts one.
            reduction: "mean", "sum", or "none" for [B, ...] or [B, C, ...]. A mean over nothing is
                NaN, as in PyTorch.
        """
        if self.ignored is not None:
            values = values.masked_fill(self.ignored, 0)
            masses = torch.ones_like(values) if masses is None else masses
            masses = masses.masked_fill(self.ignored, 0)
        match reduction:
            case "mean":
                return values.mean() if masses is None else values.sum() / masses.sum()
            case "sum":
                return values.sum()
            case "none":
                return self.by_position(values)
        assert_never(reduction)

    def counted(self, values: Tensor) -> Tensor:
        """Return the values [..., N] of the rows that count."""
        return values if self.ignored is None else values[..., ~self.ignored]

    def sample_weights(self, weights: Tensor) -> Tensor:
        """Return the weights of examples [B], or of rows where their targets stand, as [N].

        Raises:
            DataError: their shape is neither.
        """
        shape = self.kind.row_shape(self.shape)
        if weights.shape == shape:
            return weights.reshape(-1)
        if weights.shape != shape[:1]:
            raise DataError(
                f"sample weights of shape {tuple(weights.shape)} do not fit outputs of shape "
                f"{tuple(self.shape)}; give one for each example, {tuple(shape[:1])}, or for each "
                f"target, {tuple(shape)}"
            )
        return weights.reshape(-1, *[1] * (len(shape) - 1)).expand(shape).reshape(-1)
