"""Metrics of values that are no means over the rows."""

from typing import final

from torch import Tensor

from lossforge.tasks.metrics.metric import Metric


@final
class ExplainedVariance(Metric):
    """R²: one minus the squared error over that of the targets' mean; the mean over the outputs.

    It is scikit-learn's ``r2_score``.

    Examples:
        >>> import torch
        >>> from lossforge.tasks.kinds import Regression
        >>> r2 = ExplainedVariance(Regression())
        >>> r2.values(torch.tensor([[[0.0], [1.0]]]), torch.tensor([[0.0], [2.0]])).tolist()
        [0.5]
    """

    name = "r2"
    is_maximized = True

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return R² of each network, [P]; NaN where the targets of an output are all equal."""
        rows = self.kind.rows(outputs, targets)
        shape = self.kind.row_shape(rows.shape)
        found = rows.outputs.squeeze(-1).unflatten(-1, shape).double()
        wanted = rows.targets.view(shape).double()
        found, wanted = found.movedim(2, 1).flatten(2), wanted.movedim(1, 0).flatten(1)
        spread = (wanted - wanted.mean(1, keepdim=True)).square().sum(1)
        explained: Tensor = 1 - (found - wanted).square().sum(2) / spread
        return explained.mean(1)
