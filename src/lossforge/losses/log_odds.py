"""The log-odds against the target, log((1 - p_t) / p_t), and their derivative, kept in one tensor.

With z the logits, the log-odds are r = log sum_{j≠t} exp(z_j) - z_t. A loss that needs only the
target's probability is a function of r: log p_t = -softplus(r) and log(1 - p_t) = -softplus(-r).
Neither loses digits when p_t rounds to 0 or 1, because the difference 1 - p_t is never formed.
"""

from typing import Any

import torch
from torch import Tensor

Triple = tuple[Tensor, Tensor, Tensor]

# Up to e^±60, products of probabilities are exact to the last digits in single precision, too.
FAR = 60.0


def log_odds_against(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log((1 - p_t) / p_t) of the labels' classes t, differentiable twice.

    dr/dz_j = q_j for j ≠ t and dr/dz_t = -1, where q is the softmax over the classes other than t.
    One tensor of the logits' size is kept for the backward pass: q up to a factor per row.

    Args:
        logits: [B, C, ...] with C ≥ 2, single or double precision; -inf masks a class.
        labels: [B, ...], int64.

    Returns:
        [B, ...]; +inf where the target is masked, the lowest finite number where all others are.

    Examples:
        >>> log_odds_against(torch.zeros(1, 4), torch.tensor([2])).exp()
        tensor([3.])
        >>> log_odds_against(torch.tensor([[2e4, 0.0, -1e4]]), torch.tensor([0]))
        tensor([-20000.])
    """
    odds, *_ = _LogOdds.apply(logits, labels.unsqueeze(1))
    return odds.squeeze(1)  # type: ignore[no-any-return]


def log_odds_against_each(logits: Tensor) -> Tensor:
    """Return log((1 - p_k) / p_k) of every class k, [B, C, ...].

    Only the likeliest class can be so likely that 1 - p loses digits.
    """
    top = logits.argmax(1)
    log_p = logits.log_softmax(1)
    odds = torch.log1p(-log_p.clamp_max(-0.5).exp()) - log_p
    return odds.scatter(1, top.unsqueeze(1), log_odds_against(logits, top).unsqueeze(1))


class _LogOdds(torch.autograd.Function):
    """r, and the tensors that q is the quotient of, which the second derivative goes through.

    The factor `total` counts as constant and `shares` as changing like total · q: only their
    quotient is used, and so q = shares / total has its true derivative.
    """

    @staticmethod
    def forward(logits: Tensor, labels: Tensor) -> Triple:
        shares = logits.softmax(1)
        target = shares.gather(1, labels)
        shares.scatter_(1, labels, 0.0)
        total = shares.sum(1, keepdim=True)
        odds = (total / target).log_()
        exact = odds.abs() <= FAR
        if not bool(exact.all()):
            _repair(~exact.squeeze(1), logits, labels, (odds, shares, total))
        return odds, shares, total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Triple) -> None:
        _, labels = inputs
        _, shares, total = output
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(total)
        ctx.save_for_backward(labels, shares, total)
        ctx.save_for_forward(labels, shares, total)

    @staticmethod
    def backward(
        ctx: Any, slope: Tensor | None, slope_of_shares: Tensor | None, _: None
    ) -> tuple[Tensor | None, None]:
        labels, shares, total = ctx.saved_tensors
        gradient = None
        if slope is not None:
            gradient = (shares * (slope / total)).scatter_(1, labels, -slope)
        if slope_of_shares is not None:
            moved = shares * slope_of_shares
            second = moved - shares * (moved.sum(1, keepdim=True) / total)
            gradient = second if gradient is None else gradient + second
        return gradient, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> tuple[Tensor, Tensor, None]:
        labels, shares, total = ctx.saved_tensors
        mean = (shares * tangent).sum(1, keepdim=True) / total
        return mean - tangent.gather(1, labels), shares * (tangent - mean), None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None], logits: Tensor, labels: Tensor
    ) -> tuple[Triple, tuple[int, int, int]]:
        size = info.batch_size
        flat = [
            (x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)).flatten(0, 1)
            for x, dim in zip((logits, labels), in_dims, strict=True)
        ]
        odds, shares, total = (x.unflatten(0, (size, -1)) for x in _LogOdds.apply(*flat))
        return (odds, shares, total), (0, 0, 0)


def _repair(far: Tensor, logits: Tensor, labels: Tensor, results: Triple) -> None:
    """Compute the rows anew, in place, where a probability underflows or nearly does."""
    odds, shares, total = (x.movedim(1, -1) for x in results)
    rows, labels = logits.movedim(1, -1)[far], labels.movedim(1, -1)[far]
    target = rows.gather(1, labels)
    rows.scatter_(1, labels, -torch.inf)
    lowest = torch.finfo(rows.dtype).min
    odds[far] = (rows.logsumexp(1, keepdim=True) - target).clamp_min(lowest)
    # Where all but the target are masked there are no shares, and nothing to move.
    shares[far] = rows.softmax(1).nan_to_num(0.0)
    total[far] = 1.0
