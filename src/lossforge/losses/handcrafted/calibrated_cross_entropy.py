"""Cross-entropy at its best temperature."""

import math
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from lossforge.losses.handcrafted.base import with_two_logits
from lossforge.losses.handcrafted.cross_entropy import CrossEntropy
from lossforge.losses.loss import Loss, Reduction
from lossforge.tasks import kinds
from lossforge.tasks.rows import full_precision

LARGEST = 100.0
"""Temperatures are sought from 1 / LARGEST to LARGEST."""
TOLERANCE = 1e-10
"""on log T, computed in double precision"""
MOST_STEPS = 40
"""Bisection alone gets there in as many."""


@final
class CalibratedCrossEntropy(Loss):
    """Cross-entropy of the outputs divided by the temperature at which it is least (a task loss).

    The temperature T is one number for all outputs of a call. It changes no prediction, so the loss
    tells how well outputs are ordered and not how sure they are. Its gradient is that of CE(z / T)
    at a fixed T, because the derivative by T vanishes where T is best (the envelope theorem).

    This is an objective of meta-learning: what a learned loss is to lower on validation data. No
    network should be trained under it, because its gradient does not tell how large outputs are
    to be. Examples share T, so the value of one depends on the others.

    Source: Guo et al. 2017, Sec. 4.2 (temperature scaling).

    Examples:
        >>> from lossforge.losses import CrossEntropy
        >>> outputs, labels = torch.tensor([[3.0, 0], [3.0, 0], [3.0, 0]]), torch.tensor([0, 0, 1])
        >>> round(CrossEntropy()(outputs, labels).item(), 4)
        1.0486
        >>> round(CalibratedCrossEntropy()(outputs, labels).item(), 4)
        0.6365
    """

    name: ClassVar[str] = "calibrated_cross_entropy"
    is_separable: ClassVar[bool] = False

    def __init__(self, reduction: Reduction = "mean"):
        super().__init__(kinds.Classification(), reduction)

    def forward(
        self, outputs: Tensor, targets: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss of `outputs` [B, C, ...], reduced; T is that of rows that count."""
        rows = self.kind.rows(outputs, targets)
        counts = None if rows.ignored is None else (~rows.ignored).double()
        if sample_weight is not None:
            weights = rows.sample_weights(sample_weight).double()
            counts = weights if counts is None else counts * weights
        scale = inverse_temperature(rows.outputs, rows.targets, counts)
        plain = CrossEntropy(self.reduction).for_kind(self.kind)
        value: Tensor = plain(full_precision(outputs) * scale, targets, sample_weight)
        return value

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each row, [N], at the T of them all."""
        scale = inverse_temperature(outputs, targets, None)
        return CrossEntropy().per_row(outputs * scale, targets)

    def definition(self) -> dict[str, object]:
        """Return the loss as plain data."""
        return {"type": self.name}

    @classmethod
    def from_definition(cls, fields: dict[str, object], reduction: Reduction) -> Self:
        """Build the loss from what `definition` returned, without its type.

        Raises:
            ValueError: there is a field.
        """
        if fields:
            raise ValueError(f"unknown field {min(fields)!r}")
        return cls(reduction)

    def __str__(self) -> str:
        """Return the name."""
        return self.name


@torch.no_grad()
def inverse_temperature(outputs: Tensor, targets: Tensor, counts: Tensor | None) -> float:
    """Return the factor s = 1 / T, from 1 / `LARGEST` to `LARGEST`, that makes CE(s z) least.

    Args:
        outputs: z, [N, C].
        targets: labels, all in range, or probabilities.
        counts: how much each row counts, [N]; None where each counts one.

    Examples:
        >>> round(inverse_temperature(torch.tensor([[2.0, 0]] * 4), torch.tensor([0, 0, 0, 1]),
        ...       None), 4)
        0.5493
    """
    logits, shares = with_two_logits(full_precision(outputs), targets)
    y = kinds.Classification().encode(shares, logits)
    rows = (logits - (y * logits).sum(1, keepdim=True)).double()
    if counts is not None:
        rows, counts = rows[counts > 0], counts[counts > 0].double()
    if not rows.numel():
        return 1.0
    shares = torch.full_like(rows[:, 0], 1 / len(rows)) if counts is None else counts / counts.sum()
    low, high = -math.log(LARGEST), math.log(LARGEST)
    if _slopes(rows, shares, high)[0] <= 0:  # as where all predictions are right
        return LARGEST
    if _slopes(rows, shares, low)[0] >= 0:
        return 1 / LARGEST
    at = 0.0
    for _ in range(MOST_STEPS):
        slope, curvature = _slopes(rows, shares, at)
        low, high = (low, at) if slope > 0 else (at, high)
        following = at - slope / curvature if curvature > 0 else math.inf
        if not low <= following <= high:
            following = (low + high) / 2
        moved, at = abs(following - at), following
        if moved <= TOLERANCE:
            break
    return math.exp(at)


def _slopes(rows: Tensor, shares: Tensor, at: float) -> tuple[float, float]:
    """Return both derivatives, by log s, of the mean of log sum exp(s d) over rows d, [N, C]."""
    scaled = rows * math.exp(at)
    p = scaled.softmax(1)
    mean = (p * scaled).sum(1, keepdim=True)
    spread = (p * (scaled - mean).square()).sum(1)
    slope, variance = torch.stack([shares @ mean[:, 0], shares @ spread]).tolist()
    return slope, slope + variance
