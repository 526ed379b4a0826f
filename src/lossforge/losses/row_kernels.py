"""The log-odds against the target on a GPU: one pass over the logits forward, and one back.

Kernels in Triton, a program a row, with a running log-sum-exp over the classes other than the
target. They read half precision as it is and compute in single. PyTorch's packages for CUDA bring
Triton along. So far they have been compiled for sm_90 and run in Triton's interpreter, on no
GPU: their speed is unmeasured.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lossforge.errors import ConfigurationError, DataError
from lossforge.losses.log_odds import composed_odds
from lossforge.tasks.rows import full_precision

# Classes that a program reads at once.
WIDEST = 4096
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
LIMITS = torch.finfo(torch.float32)


def row_log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return r = log((1 - p_t) / p_t) for the labels' classes t, differentiable twice.

    Args:
        logits: [B, C, ...] with C ≥ 2, in single or half precision, on a GPU.
        labels: [B, ...], int64.

    Returns:
        [B, ...], in single precision.

    Raises:
        ConfigurationError: the logits are not on a GPU.
        DataError: they are in double precision.
    """
    if not logits.is_cuda and not triton.knobs.runtime.interpret:
        raise ConfigurationError(
            f"kernel 'triton' needs a GPU, and the logits are on {logits.device}; use 'torch'"
        )
    if logits.dtype not in FLOATS:
        raise DataError(f"kernel 'triton' takes single or half precision, not {logits.dtype}")
    rows = logits.movedim(1, -1).reshape(-1, logits.shape[1]).contiguous()
    odds = _RowLogOdds.apply(rows, labels.reshape(-1))  # type: ignore[no-untyped-call]
    return odds.view(labels.shape)  # type: ignore[no-any-return]


class _RowLogOdds(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        odds = torch.empty(labels.shape, dtype=torch.float32, device=logits.device)
        rest = torch.empty_like(odds)
        if len(labels):
            _forward[_grid(labels)](
                logits, labels, odds, rest, logits.shape[1], LIMITS.min, LIMITS.max, _block(logits)
            )
        ctx.save_for_backward(logits, labels, rest)
        return odds

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None]:
        logits, labels, rest = ctx.saved_tensors
        if torch.is_grad_enabled():
            odds = composed_odds(full_precision(logits), labels)
            (found,) = torch.autograd.grad(odds, logits, slopes, create_graph=True)
            return found, None
        found = torch.empty_like(logits)
        if len(labels):
            slopes = slopes.contiguous()
            _backward[_grid(labels)](
                logits, labels, slopes, rest, found, logits.shape[1], _block(logits)
            )
        return found, None


def _grid(labels: Tensor) -> tuple[int]:
    return (len(labels),)


def _block(logits: Tensor) -> int:
    return min(WIDEST, int(triton.next_power_of_2(logits.shape[1])))


@triton.jit
def _within(value, lowest, highest):  # type: ignore[no-untyped-def]
    """Return the nearest number between the limits, or nan."""
    raised = tl.maximum(value, lowest, propagate_nan=tl.PropagateNan.ALL)
    return tl.minimum(raised, highest, propagate_nan=tl.PropagateNan.ALL)


@triton.jit  # type: ignore[untyped-decorator]
def _forward(  # type: ignore[no-untyped-def]
    logits,
    labels,
    odds,
    rest,
    classes,
    lowest,
    highest,
    BLOCK: tl.constexpr,  # noqa: N803
):
    row = tl.program_id(0).to(tl.int64)
    label = tl.load(labels + row)
    begin = logits + row * classes
    # The sum of exp(z_j - top), in each lane, with a top of its own: they are merged in the end.
    top = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, classes, BLOCK):
        column = start + tl.arange(0, BLOCK)
        is_other = (column < classes) & (column != label)
        value = tl.load(begin + column, mask=is_other, other=float("-inf")).to(tl.float32)
        higher = tl.maximum(top, tl.maximum(value, lowest))
        total = total * tl.exp(top - higher) + tl.exp(value - higher)
        top = higher
    highest_top = tl.max(top, 0)
    merged = highest_top + tl.log(tl.sum(total * tl.exp(top - highest_top), 0))
    target = tl.load(begin + label).to(tl.float32)
    tl.store(rest + row, _within(merged, lowest, highest))
    tl.store(odds + row, _within(merged - target, lowest, highest))


@triton.jit  # type: ignore[untyped-decorator]
def _backward(  # type: ignore[no-untyped-def]
    logits,
    labels,
    slopes,
    rest,
    found,
    classes,
    BLOCK: tl.constexpr,  # noqa: N803
):
    row = tl.program_id(0).to(tl.int64)
    label = tl.load(labels + row)
    slope = tl.load(slopes + row)
    log_total = tl.load(rest + row)
    for start in range(0, classes, BLOCK):
        column = start + tl.arange(0, BLOCK)
        inside = column < classes
        is_other = inside & (column != label)
        at = row * classes + column
        value = tl.load(logits + at, mask=is_other, other=float("-inf")).to(tl.float32)
        share = tl.where(is_other, tl.exp(value - log_total), -1.0)
        tl.store(found + at, slope * share, mask=inside)
