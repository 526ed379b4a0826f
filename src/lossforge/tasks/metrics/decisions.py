"""Metrics of decisions: F1, balanced error, and the intersection over union."""

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from lossforge.tasks.kinds import MultiLabel
from lossforge.tasks.metrics.metric import Metric
from lossforge.tasks.metrics.one_vs_rest import Counts, mean_over, problems_of


class DecisionMetric(Metric, ABC):
    """A metric that counts right and wrong decisions."""

    @final
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the metric of each network, [P]."""
        return self._measured(outputs, targets, smooth=False)

    @final
    def smooth_costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean, [P], of the costs and of those of margins in place of decisions.

        Margins alone tell nothing of a threshold: a network that predicts no row of a rare class
        has a smooth F1 of 0.3 where it puts them nearest to being predicted.
        """
        return (self.costs([(outputs, targets)]) + self._smooth(outputs, targets)) / 2

    @final
    def differentiable_cost(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cost, a scalar, with the sigmoid of each row's margin for its decision."""
        return self._smooth(outputs[None], targets)[0]

    def _smooth(self, outputs: Tensor, targets: Tensor) -> Tensor:
        values = self._measured(outputs, targets, smooth=True)
        return 1 - values if self.is_maximized else values

    @abstractmethod
    def of_counts(self, counts: Counts) -> Tensor:
        """Return the metric, [P], of counts [P, G]."""

    def _measured(self, outputs: Tensor, targets: Tensor, *, smooth: bool) -> Tensor:
        return self.of_counts(Counts.of(problems_of(self.kind, outputs, targets), smooth=smooth))

    def _is_binary(self, counts: Counts) -> bool:
        return isinstance(self.kind, MultiLabel) or counts.hits.shape[-1] == 1


@final
class F1(DecisionMetric):
    """2 hits / (2 hits + misses + false alarms): of the second of two classes, else the mean.

    With more classes, the mean over those that are in the targets or are predicted; with several
    labels, over those. It is scikit-learn's, binary or macro.

    Examples:
        >>> from lossforge.tasks.kinds import Classification
        >>> outputs = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]])
        >>> F1(Classification()).values(outputs, torch.tensor([1, 0, 0])).tolist()
        [0.666...]
    """

    name = "f1"
    is_maximized = True

    def of_counts(self, counts: Counts) -> Tensor:
        """Return F1, [P]."""
        wrong = counts.misses + counts.false_alarms
        defined = counts.hits + wrong > 0
        score = 2 * counts.hits / (2 * counts.hits + wrong).where(defined, 1)
        if self._is_binary(counts):
            return score.mean(-1)
        return mean_over(score, defined)


@final
class BalancedError(DecisionMetric):
    """Mean over the classes of the share of their rows that are wrong.

    With several labels the mean of that over them. It is one minus scikit-learn's balanced
    accuracy.
    """

    name = "balanced_error"

    def of_counts(self, counts: Counts) -> Tensor:
        """Return the balanced error, [P]."""
        wrong, exist = _missed(counts)
        if not self._is_binary(counts):
            return mean_over(wrong, exist)
        others, others_exist = _missed(counts.mirrored())
        both = wrong.where(exist, others) + others.where(others_exist, wrong)
        return (both / 2).mean(-1)


@final
class MeanIoU(DecisionMetric):
    """Intersection over union of the targets and the predictions, mean over the classes.

    Over classes that are in the targets or are predicted, the first of two included; with several
    labels, over those.
    """

    name = "miou"
    is_maximized = True

    def of_counts(self, counts: Counts) -> Tensor:
        """Return the mean intersection over union, [P]."""
        parts = [counts]
        if self._is_binary(counts) and not isinstance(self.kind, MultiLabel):
            parts.append(counts.mirrored())
        hits = torch.cat([each.hits for each in parts], -1)
        union = hits + torch.cat([each.misses + each.false_alarms for each in parts], -1)
        return mean_over(hits / union.where(union > 0, 1), union > 0)


def _missed(counts: Counts) -> tuple[Tensor, Tensor]:
    """Return the share of each class's rows that are missed, and whether there are any: [P, G]."""
    rows = counts.hits + counts.misses
    return counts.misses / rows.where(rows > 0, 1), rows > 0
