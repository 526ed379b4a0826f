"""SparseLSR: label smoothing that needs the target's probability only.

Source: thesis, ch. 5. The expected loss of the non-target classes is put into the target's term,
with ξ the smoothing, C the number of classes and b = ξ(C-1)/C:

    L = -(1 - b)·log p_t - b·log((1 - p_t) / (C - 1))

It equals label smoothing where the non-target probabilities are equal, and is below it elsewhere.
With r = log((1 - p_t) / p_t), the log-odds against the target, it is

    L = softplus(r) - b·(r - log(C - 1)),   dL/dr = sigmoid(r) - b

and from dr/dz_t = -1 and dr/dz_j = q_j, the softmax over the classes other than t, follows

    dL/dz_t = p_t - (1 - b),   dL/dz_j = p_j - b·q_j

which is cross-entropy's gradient for the target distribution (1 - b) on t and b·q on the others.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from lossforge.errors import ConfigurationError, DataError
from lossforge.losses.log_odds import (
    log_odds_against_each,
    loss_of_odds,
    only_composed,
    reduced_loss,
)
from lossforge.losses.loss import Reduction, reduce, require_reduction
from lossforge.tasks.rows import full_precision
from lossforge.validation import require, require_in_range

Kernel = Literal["torch", "triton"]
"""What computes the log-odds."""

# PyTorch's default label that does not count.
IGNORED = -100


def sparse_lsr(
    outputs: Tensor,
    targets: Tensor,
    smoothing: float = 0.1,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: Reduction = "mean",
    kernel: Kernel = "torch",
) -> Tensor:
    """Return the sparse label-smoothing loss; a drop-in for `torch.nn.functional.cross_entropy`.

    The relative error is a few units in the last place for any logits, also where p_t rounds to 0
    or 1, and derivatives of every order exist. One tensor of the outputs' size is kept for them, as
    by cross-entropy. Below some 100,000 logits, calling costs more than computing: about a sixth
    more than PyTorch's label smoothing at the smallest sizes, while large ones take half as long.

    Args:
        outputs: logits, [C], [B, C] or [B, C, ...] with C ≥ 2. Half precision is computed in
            float32, and so returned.
        targets: labels [], [B] or [B, ...] (int64); or probabilities shaped like the outputs, for
            the loss expected over the label, to which `ignore_index` does not apply.
        smoothing: ξ, from 0 (cross-entropy) to 1.
        weight: of each class, [C]; the mean is then weighted.
        ignore_index: a label that does not count.
        reduction: "mean" over what counts, "sum", or "none" for one number a label.
        kernel: "torch" for PyTorch's operations; "triton" for labels on a GPU, one pass over the
            logits each way, of which half precision is read as it is. It is tested in Triton's
            interpreter, and on no GPU yet.

    Raises:
        ConfigurationError: smoothing, reduction or kernel is not one of those, or the kernel cannot
            be had.
        DataError: the shapes do not fit each other.

    Examples:
        >>> import torch.nn.functional as F
        >>> logits, labels = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
        >>> torch.isclose(sparse_lsr(logits, labels, 0.2),
        ...     F.cross_entropy(logits, labels, label_smoothing=0.2))
        tensor(True)
    """
    require_in_range("smoothing", smoothing, 0, 1)
    require_reduction(reduction)
    require_kernel(kernel)
    if outputs.dim() == 1:
        outputs, targets = outputs.unsqueeze(0), targets.unsqueeze(0)
        batched = sparse_lsr(
            outputs,
            targets,
            smoothing,
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            kernel=kernel,
        )
        return batched.squeeze(0)
    _check_shapes(outputs, targets, weight)
    logits, classes = full_precision(outputs), outputs.shape[1]
    share = smoothing * (classes - 1) / classes
    if targets.is_floating_point():
        shares = targets if weight is None else targets * _along_classes(weight, targets)
        values = loss_of_odds(log_odds_against_each(logits), share, classes)
        return reduce((shares * values).sum(1), reduction)
    counted = counted_labels(targets.long(), weight, ignore_index, reduction, logits.dtype)
    labels, weights, reduction = counted
    if kernel == "torch" or only_composed():
        return reduced_loss(logits, labels, weights, share, reduction)
    values = loss_of_odds(_row_log_odds(outputs, labels), share, classes)
    return reduce(values if weights is None else values * weights, reduction)


def counted_labels(
    targets: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: Reduction,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor | None, Reduction]:
    """Return the labels, class 0 where they do not count, their weights, and how to reduce them.

    The weights of a mean sum to 1, and are to be summed; they are None where each label counts one.
    """
    if weight is None and _all_count(targets, ignore_index):
        return targets, None, reduction
    counted = targets != ignore_index
    labels = targets.where(counted, 0)
    weights = counted.to(dtype) if weight is None else counted * weight[labels].to(dtype)
    if reduction == "mean":
        return labels, weights / weights.sum(), "sum"
    return labels, weights, reduction


def require_kernel(kernel: str) -> None:
    """Raise a `ConfigurationError` unless there is such a kernel."""
    require(kernel in get_args(Kernel), f"kernel must be torch or triton, not {kernel!r}")


def _row_log_odds(outputs: Tensor, labels: Tensor) -> Tensor:
    try:
        from lossforge.losses.row_kernels import row_log_odds
    except ImportError:
        raise ConfigurationError(
            "kernel 'triton' needs the package triton, which PyTorch for CUDA brings; use 'torch'"
        ) from None
    return row_log_odds(outputs, labels)


def _all_count(targets: Tensor, ignore_index: int) -> bool:
    """Return whether no label is ignored, as far as a cheap look can tell.

    On a GPU, reading the value would wait for all queued work.
    """
    if not targets.is_cpu or not targets.numel() or ignore_index >= 0 or only_composed():
        return False
    return targets.amin().item() >= 0


def _check_shapes(outputs: Tensor, targets: Tensor, weight: Tensor | None) -> None:
    shape, classes = tuple(outputs.shape), outputs.shape[1]
    if classes < 2:
        raise DataError(f"outputs of shape {shape} have one class; give logits of two or more")
    labels = shape[:1] + shape[2:]
    floating = targets.is_floating_point()
    if tuple(targets.shape) != (shape if floating else labels):
        raise DataError(
            f"targets of shape {tuple(targets.shape)} do not fit outputs of shape {shape}; give "
            f"integer labels of shape {labels} or probabilities of the outputs' shape"
        )
    if weight is not None and tuple(weight.shape) != (classes,):
        raise DataError(f"weight of shape {tuple(weight.shape)} must hold {classes}, one a class")


def _along_classes(weight: Tensor, targets: Tensor) -> Tensor:
    return weight.view(-1, *[1] * (targets.dim() - 2))
