"""The log-odds against the target, and the loss that they decide, in one pass over the logits.

With z the logits, r = log sum_{j≠t} exp(z_j) - z_t = log((1 - p_t) / p_t), so that
log p_t = -softplus(r) and log(1 - p_t) = -softplus(-r): no digits are lost where p_t rounds to 0
or 1, because 1 - p_t is summed from the other classes and never taken as a difference.
With q the softmax over the classes other than t, dr/dz_t = -1 and dr/dz_j = q_j.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from lossforge.losses.loss import Reduction, reduce
from lossforge.tasks.rows import is_recorded

Triple = tuple[Tensor, Tensor, Tensor]

# Up to odds of e^±60, single precision holds the probabilities, and their parts, in full.
FAR = 60.0
# From here on, softplus(r) is r to the last digit of double precision.
LINEAR = 50.0


def reduced_loss(
    logits: Tensor, labels: Tensor, weights: Tensor | None, share: float, reduction: Reduction
) -> Tensor:
    """Return weights · `loss_of_odds`, [B, ...], or their plain mean or sum.

    One tensor of the logits' size is kept for the derivatives, as by cross-entropy.

    Args:
        logits: [B, C, ...] with C ≥ 2, in single or double precision.
        labels: the targets t, [B, ...].
        weights: of the labels, [B, ...]; 1 by default.
        share: b of `loss_of_odds`.
        reduction: "mean", "sum" or "none".
    """
    if only_composed():
        values = loss_of_odds(composed_odds(logits, labels), share, logits.shape[1])
        return reduce(values if weights is None else values * weights, reduction)
    rows = labels.unsqueeze(1), None if weights is None else weights.unsqueeze(1)
    loss, _, _ = _ReducedLoss.apply(logits, *rows, share, reduction)  # type: ignore[no-untyped-call]
    return loss.squeeze(1) if reduction == "none" else loss  # type: ignore[no-any-return]


def loss_of_odds(odds: Tensor, share: float, classes: int) -> Tensor:
    """Return -(1 - b)·log p_t - b·log((1 - p_t) / (C - 1)) = softplus(r) - b·(r - log(C - 1)).

    Args:
        odds: r, of any shape.
        share: b, what the non-target classes have of the target distribution.
        classes: C.
    """
    above_line = F.softplus(odds, threshold=LINEAR)
    return torch.sub(above_line, odds, alpha=share).add_(share * math.log(classes - 1))


def log_odds_against(logits: Tensor, labels: Tensor) -> Tensor:
    """Return r = log((1 - p_t) / p_t) for the labels' classes t, differentiable twice.

    Args:
        logits: [B, C, ...] with C ≥ 2, in single or double precision; -inf masks a class.
        labels: [B, ...], int64.

    Returns:
        [B, ...]; the largest or lowest finite number where p_t is exactly 0 or 1.

    Examples:
        >>> log_odds_against(torch.zeros(1, 4), torch.tensor([2])).exp()
        tensor([3.])
        >>> log_odds_against(torch.tensor([[2e4, 0.0, -1e4]]), torch.tensor([0]))
        tensor([-20000.])
    """
    if only_composed():
        return composed_odds(logits, labels)
    rows = labels.unsqueeze(1), None
    _, odds, _ = _ReducedLoss.apply(logits, *rows, 0.0, "none")  # type: ignore[no-untyped-call]
    return odds.squeeze(1)  # type: ignore[no-any-return]


def log_odds_against_each(logits: Tensor) -> Tensor:
    """Return log((1 - p_k) / p_k) of every class k, [B, C, ...].

    Only the likeliest class can be so likely that 1 - p loses digits.
    """
    top = logits.argmax(1)
    log_p = logits.log_softmax(1)
    odds = torch.log1p(-log_p.clamp_max(-0.5).exp()) - log_p
    return odds.scatter(1, top.unsqueeze(1), log_odds_against(logits, top).unsqueeze(1))


def only_composed() -> bool:
    """Return whether only PyTorch's own operations will do: compiling, vmap and such."""
    return (
        torch.compiler.is_compiling()
        or is_recorded()
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
    )


def composed_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return r by PyTorch's operations alone, differentiable in every way that they are."""
    labels = labels.unsqueeze(1)
    rest = logits.scatter(1, labels, -torch.inf)
    return rest.logsumexp(1) - logits.gather(1, labels).squeeze(1)


class _ReducedLoss(torch.autograd.Function):
    """The loss, r, and `shares`, from which the derivatives are made.

    Of a row, `shares` holds total · q, and -total at the target: slope / total · shares is the
    gradient for dL/dr = slope. It is a result only so that it can be differentiated in its turn;
    there `total` counts as constant and q as what changes, and since only shares / total is used,
    the second derivative is the true one.

    At small sizes the number of operations decides the time: hence none is spent on weights of 1.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None,
        share: float,
        reduction: Reduction,
    ) -> Triple:
        shares = logits.softmax(1)
        target = shares.gather(1, labels)
        shares.scatter_(1, labels, 0.0)
        total = shares.sum(1, keepdim=True)
        odds = (total / target).log_()
        ctx.near = _all_near(odds)
        if not ctx.near:
            _repair(logits, labels, (odds, shares, total))
        shares.scatter_(1, labels, -total)
        terms = loss_of_odds(odds, share, logits.shape[1])
        if weights is not None:
            terms.mul_(weights)
        ctx.share, ctx.reduction = share, reduction
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weights, odds, shares, total)
        return reduce(terms, reduction), odds, shares

    @staticmethod
    def backward(
        ctx: Any, to_loss: Tensor | None, to_odds: Tensor | None, to_shares: Tensor | None
    ) -> tuple[Tensor | None, None, None, None, None]:
        weights, odds, shares, total = ctx.saved_tensors
        parts = []
        if to_loss is not None:
            to_term = to_loss / odds.numel() if ctx.reduction == "mean" else to_loss
            to_term = to_term if weights is None else to_term * weights
            parts.append(shares * _slope_over_total(ctx, to_term, odds, total))
        if to_odds is not None:
            parts.append(shares * (to_odds / total))
        if to_shares is not None:
            others = shares.clamp_min(0.0)
            moved = others * to_shares
            parts.append(moved - others * (moved.sum(1, keepdim=True) / total))
        return sum(parts[1:], parts[0]) if parts else None, None, None, None, None


def _slope_over_total(ctx: Any, to_term: Tensor, odds: Tensor, total: Tensor) -> Tensor:
    """Return (sigmoid(r) - share) · to_term / total."""
    if ctx.near and not torch.is_grad_enabled():
        # sigmoid(r) is total here.
        return torch.addcdiv(to_term, to_term, total, value=-ctx.share)
    slope: Tensor = odds.sigmoid() - ctx.share
    return slope * to_term / total


def _all_near(odds: Tensor) -> bool:
    if odds.numel() == 0:
        return True
    low, high = odds.aminmax()
    # Where there is a nan both are, and no comparison with it holds.
    return low.item() >= -FAR and high.item() <= FAR


def _repair(logits: Tensor, labels: Tensor, results: Triple) -> None:
    """Compute the rows anew, in place, where a probability underflows or nearly does."""
    odds, shares, total = (x.movedim(1, -1) for x in results)
    far = ~(odds.abs() <= FAR).squeeze(-1)
    rows, targets = logits.movedim(1, -1)[far], labels.movedim(1, -1)[far]
    target = rows.gather(1, targets)
    rows.scatter_(1, targets, -torch.inf)
    limits = torch.finfo(rows.dtype)
    odds[far] = (rows.logsumexp(1, keepdim=True) - target).clamp(limits.min, limits.max)
    # Where all but the target are masked there are no shares, and nothing to move.
    shares[far] = rows.softmax(1).nan_to_num(0.0)
    total[far] = 1.0
