"""Metrics that are means over the rows."""

from typing import final

import torch
from torch import Tensor
from torch.nn.functional import pad

from lossforge.tasks.kinds import Kind
from lossforge.tasks.metrics.metric import RowMetric


@final
class KindMetric(RowMetric):
    """The metric that a kind has by itself: error rate, or mean squared error."""

    def __init__(self, kind: Kind):
        super().__init__(kind)
        self.name, self.is_rate = kind.metric, kind.metric_is_rate

    def row_costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the kind's scores of the rows, [P, N]."""
        return self.kind.scores(outputs, targets)

    def smooth_costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the kind's smooth metric, [P]."""
        return self.kind.smooth_scores(outputs, targets)


@final
class Accuracy(RowMetric):
    """Share of the rows whose class is right."""

    name = "accuracy"
    is_maximized = True
    is_rate = True

    def row_costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return 1 for a wrong class and 0 for the right one, [P, N]."""
        return self.kind.scores(outputs, targets)

    def smooth_costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the smooth error rate of margins, [P]."""
        return self.kind.smooth_scores(outputs, targets)


@final
class LogLoss(RowMetric):
    """Mean negative logarithm of the target's probability, in nats."""

    name = "log_loss"

    def row_costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of each row, [P, N]."""
        rows = self.kind.rows(outputs, targets)
        logits, wanted = with_two_classes(rows.outputs), rows.targets
        log_p = logits.log_softmax(-1)
        if wanted.dim() == 1:
            index = wanted.expand(logits.shape[:-1])[..., None]
            return rows.counted(-log_p.gather(-1, index).squeeze(-1))
        shares = two_shares(wanted)
        # A class without a share counts nothing, also where it is ruled out.
        return rows.counted(-(log_p.where(shares > 0, 0) * shares).sum(-1))


@final
class MeanAbsoluteError(RowMetric):
    """Mean absolute error, over all outputs."""

    name = "mae"

    def row_costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the absolute errors, [P, N]."""
        rows = self.kind.rows(outputs, targets)
        return (rows.outputs - rows.targets).abs().squeeze(-1)


def with_two_classes(logits: Tensor) -> Tensor:
    """Return logits of at least two classes, [..., N, K]; a single one z becomes (0, z)."""
    return pad(logits, (1, 0)) if logits.shape[-1] == 1 else logits


def two_shares(shares: Tensor) -> Tensor:
    """Return shares of at least two classes, [N, K]; a single one y becomes (1 - y, y)."""
    return torch.cat([1 - shares, shares], 1) if shares.shape[1] == 1 else shares
