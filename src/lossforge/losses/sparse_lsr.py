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

import math

import torch.nn.functional as F
from torch import Tensor

from lossforge.losses.log_odds import log_odds_against, log_odds_against_each
from lossforge.losses.loss import Reduction
from lossforge.losses.preparation import full_precision
from lossforge.validation import require_in_range


def sparse_lsr(
    outputs: Tensor,
    targets: Tensor,
    smoothing: float = 0.1,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the sparse label-smoothing loss; a drop-in for `torch.nn.functional.cross_entropy`.

    The relative error is a few units in the last place for any logits, also where p_t rounds to 0
    or 1. Derivatives of every order exist; beyond what is returned, one tensor of the outputs'
    size is kept for them, as cross-entropy does.

    Args:
        outputs: logits, [C], [B, C] or [B, C, ...] with C ≥ 2. Half precision is computed in
            float32, and so returned.
        targets: labels [], [B] or [B, ...] (int64); or probabilities shaped like the outputs, for
            the loss expected over the label, to which `ignore_index` does not apply.
        smoothing: ξ, from 0 (cross-entropy) to 1.
        weight: of each class, [C]; the mean is then weighted.
        ignore_index: a label that does not count.
        reduction: "mean" over what counts, "sum", or "none" for one number a label.

    Raises:
        ConfigurationError: smoothing or reduction is not one of those.
        DataError: the shapes do not fit each other.

    Examples:
        >>> import torch
        >>> logits, labels = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
        >>> torch.isclose(sparse_lsr(logits, labels, 0.2),
        ...     F.cross_entropy(logits, labels, label_smoothing=0.2))
        tensor(True)
    """
    require_in_range("smoothing", smoothing, 0, 1)
    if outputs.dim() == 1:
        outputs, targets = outputs.unsqueeze(0), targets.unsqueeze(0)
        batched = sparse_lsr(
            outputs,
            targets,
            smoothing,
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
        )
        return batched.squeeze(0)
    check_shapes(outputs, targets)
    logits = full_precision(outputs)
    if targets.shape == outputs.shape:
        values = from_odds(log_odds_against_each(logits), smoothing, logits.shape[1])
        shares = targets if weight is None else targets * along_classes(weight, targets)
        return reduce((shares * values).sum(1), None, reduction)
    counted = targets != ignore_index
    labels = targets.where(counted, 0)
    values = from_odds(log_odds_against(logits, labels), smoothing, logits.shape[1])
    return reduce(values, counted if weight is None else counted * weight[labels], reduction)


def from_odds(odds: Tensor, smoothing: float, classes: int) -> Tensor:
    """Return the loss of the log-odds against the target, shaped like them."""
    share = smoothing * (classes - 1) / classes
    values = F.binary_cross_entropy_with_logits(
        odds, odds.new_full((1,), share).expand_as(odds), reduction="none"
    )
    return values + share * math.log(classes - 1)


def reduce(values: Tensor, weights: Tensor | None, reduction: Reduction) -> Tensor:
    """Return the values times their weights, reduced; the mean is by the weights' sum."""
    match reduction:
        case _ if weights is None:
            return
