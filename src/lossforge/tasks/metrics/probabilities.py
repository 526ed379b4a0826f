"""Metrics of probabilities and of their order: AUROC, and the calibration error."""

from typing import final

import torch
from torch import Tensor

from lossforge.tasks.kinds import MARGIN_SLOPE
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

    def differentiable_cost(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over pairs of a row of the class and one that is not, a scalar.

        A pair counts as the sigmoid of -4 times by how much the first has higher log-odds, relative
        to the outputs' root mean square. Where no class has rows and counterexamples it is 0.

        Source: Yan et al. 2003 (the Wilcoxon-Mann-Whitney statistic with gradients), with another
        smooth step.
        """
        costs = [
            _pairs(problem.log_odds[0], problem.truth, problem.size[0])
            for problem in problems_of(self.kind, outputs[None], targets)
            if 0 < int(problem.truth.sum()) < len(problem.truth)
        ]
        return torch.stack(costs).mean() if costs else 0 * outputs.sum()


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


def _pairs(log_odds: Tensor, truth: Tensor, size: Tensor) -> Tensor:
    """Return the smooth share of pairs in the wrong order, a scalar."""
    apart = log_odds[truth][:, None] - log_odds[~truth]
    relative = apart / size.clamp_min(torch.finfo(size.dtype).tiny)
    return torch.sigmoid(-MARGIN_SLOPE * relative).double().mean()


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
