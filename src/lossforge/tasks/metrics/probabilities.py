"""Metrics of probabilities and of their order: AUROC, and the calibration error."""

from typing import final

import torch
from torch import Tensor

from lossforge.tasks.metrics.means import with_two_classes
from lossforge.tasks.metrics.metric import Metric
from lossforge.tasks.metrics.one_vs_rest import problems_of

BINS = 15
"""of equal width, into which confidences from 0 to 1 are sorted; as in Guo et al. 2017"""


@final
class AreaUnderROC(Metric):
    """Probability that a row of the class has higher odds than a row that is not; ties count half.

    Of the second of two classes; the mean over more classes, each against the others, or over
    labels, of those that some rows have and others lack. It is scikit-learn's ``roc_auc_score``.

    Examples:
        >>> from lossforge.tasks.kinds import Classification
        >>> outputs = torch.tensor([[[0.1], [0.4], [0.35], [0.8]]])
        >>> AreaUnderROC(Classification()).values(outputs, torch.tensor([0, 0, 1, 1])).tolist()
        [0.75]
    """

    name = "auroc"
    is_maximized = True

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the area of each network, [P]; NaN where no class has rows and counterexamples."""
        areas = [
            _area(problem.log_odds.double(), problem.truth)
            for problem in problems_of(self.kind, outputs, targets)
            if 0 < int(problem.truth.sum()) < len(problem.truth)
        ]
        if not areas:
            return torch.full((len(outputs),), torch.nan, dtype=torch.float64)
        return torch.stack(areas).mean(0)


@final
class CalibrationError(Metric):
    """Expected calibration error: how far confidence is from the share of rows that are right.

    The rows are sorted into bins by the probability of the predicted class; the absolute gaps of
    the bins are averaged by their rows. Guo et al. 2017, Eq. (3), with 15 bins.
    """

    name = "calibration_error"

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the error of each network, [P]."""
        rows = self.kind.rows(outputs, targets)
        p = with_two_classes(rows.outputs).double().softmax(-1)
        right = rows.counted(1 - self.kind.row_scores(rows)).double()
        confidence = rows.counted(p.amax(-1))
        bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
        gaps = torch.zeros(len(outputs), BINS, dtype=torch.float64, device=p.device)
        gaps.scatter_add_(1, bins, confidence - right)
        return gaps.abs().sum(1) / confidence.shape[1]


def _area(scores: Tensor, truth: Tensor) -> Tensor:
    """Return the area under the curve of each network, [P], by the ranks of scores [P, M]."""
    scores = scores.nan_to_num(0.0)  # what is not finite is refused with the network
    ordered = scores.sort(-1).values
    positive = scores[:, truth].contiguous()
    lower = torch.searchsorted(ordered, positive, right=False)
    upper = torch.searchsorted(ordered, positive, right=True)
    ranks = (lower + upper + 1).double().sum(-1) / 2
    count, others = positive.shape[1], len(truth) - positive.shape[1]
    return (ranks - count * (count + 1) / 2) / (count * others)
