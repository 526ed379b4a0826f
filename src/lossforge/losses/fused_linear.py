"""A classifier's last layer and SparseLSR in one: the [N, C] logits never exist at once.

Vocabularies of 100,000 classes and more make the logits the largest tensors of a training step.
Here the log-odds against the targets are gathered from blocks of logits, each merged into a running
log-sum-exp; the backward pass computes the blocks anew and adds what they give to the gradients.
That costs four matrix products in place of three. The blocks are PyTorch's own matrix products on
every device; there is no kernel for a GPU in particular.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from lossforge.errors import DataError
from lossforge.losses.log_odds import loss_of_odds
from lossforge.losses.loss import Reduction, reduce, require_reduction
from lossforge.losses.sparse_lsr import IGNORED, counted_labels
from lossforge.tasks.rows import full_precision
from lossforge.validation import require, require_in_range

Block = tuple[slice, slice, Tensor, tuple[Tensor, Tensor]]

# A block has at most this many rows: its matrix product is efficient then, and it stays wide.
ROWS = 2048


def sparse_lsr_linear(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    smoothing: float = 0.1,
    bias: Tensor | None = None,
    *,
    class_weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: Reduction = "mean",
    block_bytes: int = 8 * 2**20,
) -> Tensor:
    """Return ``sparse_lsr(linear(hidden, weight, bias), targets)`` in little memory.

    Beyond the gradients, it needs about three blocks of logits and two copies of `hidden`.
    It can be differentiated once.

    Args:
        hidden: what the last layer sees, [N, D].
        weight: of the last layer, [C, D] with C ≥ 2.
        targets: labels [N], int64.
        smoothing: ξ, from 0 to 1.
        bias: of the last layer, [C].
        class_weight: of each class, [C]; the mean is then weighted.
        ignore_index: a label that does not count.
        reduction: "mean" over what counts, "sum", or "none" for one number a label.
        block_bytes: the size of one block of logits; 4 to 16 MiB were fastest on a CPU.

    Raises:
        ConfigurationError: smoothing, reduction or block_bytes is out of its range.
        DataError: the shapes do not fit each other.

    Examples:
        >>> hidden, weight, labels = torch.ones(3, 2), torch.zeros(5, 2), torch.tensor([0, 4, 2])
        >>> round(sparse_lsr_linear(hidden, weight, labels).exp().item(), 4)
        5.0
    """
    require_in_range("smoothing", smoothing, 0, 1)
    require_reduction(reduction)
    require(block_bytes >= 1, f"block_bytes must be 1 or more, not {block_bytes}")
    _check_shapes(hidden, weight, targets, bias)
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    classes = len(weight)
    dtype = full_precision(hidden).dtype
    counted = counted_labels(targets, class_weight, ignore_index, reduction, dtype)
    labels, weights, reduction = counted
    odds = _LinearOdds.apply(hidden, weight, bias, labels, block_bytes)  # type: ignore[no-untyped-call]
    values = loss_of_odds(odds, smoothing * (classes - 1) / classes, classes)
    return reduce(values if weights is None else values * weights, reduction)


class _LinearOdds(torch.autograd.Function):
    """The log-odds against the labels' classes, [N]."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        block_bytes: int,
    ) -> Tensor:
        dtype = full_precision(hidden).dtype
        lowest, highest = torch.finfo(dtype).min, torch.finfo(dtype).max
        rest = torch.full(labels.shape, lowest, dtype=dtype, device=hidden.device)
        target = torch.empty_like(rest)
        for rows, _, logits, at in _blocks(hidden, weight, bias, labels, block_bytes):
            target[rows][at[0]] = logits[at]
            logits[at] = -torch.inf
            rest[rows] = torch.logaddexp(rest[rows], logits.logsumexp(1))
        ctx.block_bytes = block_bytes
        ctx.save_for_backward(hidden, weight, bias, labels, rest)
        return (rest - target).clamp_(lowest, highest)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, labels, rest = ctx.saved_tensors
        gradients = [
            torch.zeros_like(x, dtype=slope.dtype) if needed else None
            for x, needed in zip((hidden, weight, bias), ctx.needs_input_grad[:3], strict=True)
        ]
        to_hidden, to_weight, to_bias = gradients
        blocks = _blocks(hidden, weight, bias, labels, ctx.block_bytes)
        for rows, columns, logits, at in blocks:
            slopes = slope[rows].unsqueeze(1)
            block = logits.sub_(rest[rows].unsqueeze(1)).exp_().mul_(slopes)
            block[at] = -slope[rows][at[0]]
            block = block.to(hidden.dtype)
            if to_hidden is not None:
                to_hidden[rows] += block @ weight[columns]
            if to_weight is not None:
                to_weight[columns] += block.T @ hidden[rows]
            if to_bias is not None:
                to_bias[columns] += block.sum(0)
        typed = [None if g is None else g.to(hidden.dtype) for g in gradients]
        return *typed, None, None


def _blocks(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, block_bytes: int
) -> Iterator[Block]:
    """Yield the rows and columns of each block, its logits, and where in it the targets are."""
    size = full_precision(hidden).element_size()
    width = max(1, block_bytes // (size * max(1, min(ROWS, len(hidden)))))
    for left in range(0, len(weight), width):
        columns = slice(left, left + width)
        part = None if bias is None else bias[columns]
        for top in range(0, len(hidden), ROWS):
            rows = slice(top, top + ROWS)
            logits = full_precision(F.linear(hidden[rows], weight[columns], part))
            inside = labels[rows] - left
            (held,) = torch.where((inside >= 0) & (inside < logits.shape[1]))
            yield rows, columns, logits, (held, inside[held])


def _check_shapes(hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None) -> None:
    fits = (
        hidden.dim() == weight.dim() == 2
        and hidden.shape[1] == weight.shape[1]
        and len(weight) >= 2
        and targets.shape == hidden.shape[:1]
        and (bias is None or bias.shape == weight.shape[:1])
    )
    if not fits:
        shapes = [tuple(x.shape) for x in (hidden, weight, targets)]
        raise DataError(
            f"hidden, weight and targets of shapes {shapes} do not fit; give [N, D], [C, D] with "
            "two classes or more, [N], and a bias of shape [C] or none"
        )
