"""Cross-entropy at its best temperature."""

import math
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from lossforge.losses.handcrafted.base import with_two_logits
from lossforge.losses.handcrafted.cross_entropy import CrossEntropy
from lossforge.losses.loss import Loss, Reduction
from lossforge.losses.preparation import encode_targets, full_precision, labels_to_count

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
        super().__init__("classification", reduction)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of `outputs` [B, C, ...], reduced; T is that of positions that count."""
        labels, ignored = labels_to_count(targets, outputs, self.kind, self.ignore_index)
        scale = inverse_temperature(outputs, labels, ignored)
        plain = CrossEntropy(self.reduction)
        plain.ignore_index = self.ignore_index
        value: Tensor = plain(full_precision(outputs) * scale, targets)
        return value

    def per_example(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example (and position), [B, ...], at the T of them all."""
        scale = inverse_temperature(outputs, targets, None)
        return CrossEntropy().per_example(full_precision(outputs) * scale, targets)

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
def inverse_temperature(outputs: Tensor, targets: Tensor, ignored: Tensor | None) -> float:
    """Return the factor s = 1 / T, from 1 / `LARGEST` to `LARGEST`, that makes CE(s z) least.

    Args:
        outputs: z, [B, C, ...].
        targets: labels, all in range, or probabilities.
        ignored: positions that do not count, [B, ...]; None for none.

    Examples:
        >>> round(inverse_temperature(torch.tensor([[2.0, 0]] * 4), torch.tensor([0, 0, 0, 1]),
        ...       None), 4)
        0.5493
    """
    logits, shares = with_two_logits(full_precision(outputs), targets)
    y = encode_targets(shares, logits, "classification")
    rows = (logits - (y * logits).sum(1, keepdim=True)).movedim(1, -1)
    rows = (rows.flatten(0, -2) if ignored is None else rows[~ignored]).double()
    if not rows.numel():
        return 1.0
    low, high = -math.log(LARGEST), math.log(LARGEST)
    if _slopes(rows, high)[0] <= 0:  # as where all predictions are right
        return LARGEST
    if _slopes(rows, low)[0] >= 0:
        return 1 / LARGEST
    at = 0.0
    for _ in range(MOST_STEPS):
        slope, curvature = _slopes(rows, at)
        low, high = (low, at) if slope > 0 else (at, high)
        following = at - slope / curvature if curvature > 0 else math.inf
        if not low <= following <= high:
            following = (low + high) / 2
        moved, at = abs(following - at), following
        if moved <= TOLERANCE:
            break
    return math.exp(at)


def _slopes(rows: Tensor, at: float) -> tuple[float, float]:
    """Return both derivatives, by log s, of the mean of log sum exp(s d) over rows d, [N, C]."""
    scaled = rows * math.exp(at)
    p = scaled.softmax(1)
    mean = (p * scaled).sum(1, keepdim=True)
    spread = (p * (scaled - mean).square()).sum(1)
    slope, variance = torch.stack([mean.mean(), spread.mean()]).tolist()
    return slope, slope + variance
