"""What performance is measured by: minimized or maximized, a mean over rows or not."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import final

import torch
from torch import Tensor

from lossforge.tasks.kinds import Kind

Chunk = tuple[Tensor, Tensor]
"""outputs [P, n, C, ...] of P networks for some rows of a split, and the targets of these rows"""


class Metric(ABC):
    """A metric of the predictions on a split, for tasks of one kind.

    Searches, calibration and comparisons minimize. So a metric that is maximized has a cost, one
    minus its value, and that is what they are given; tables and results show the value.

    Args:
        kind: of the tasks.

    Attributes:
        name: what tables and results call it.
        is_maximized: whether more is better.
        is_rate: whether the cost is a share of the rows, with the standard error of one.
    """

    name: str
    is_maximized: bool = False
    is_rate: bool = False

    def __init__(self, kind: Kind):
        self.kind = kind

    @abstractmethod
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the metric of each network, [P], in float64; NaN where it is not defined.

        Args:
            outputs: for all rows of a split, [P, N, C, ...].
            targets: of these rows.
        """

    def costs(self, chunks: Iterable[Chunk]) -> Tensor:
        """Return what is minimized, for each network: [P].

        Args:
            chunks: outputs and targets of a split, in parts.

        Examples:
            >>> from lossforge.tasks.metrics import as_metric
            >>> outputs, labels = torch.tensor([[[2.0, 1.0], [0.0, 1.0]]]), torch.tensor([0, 0])
            >>> as_metric("accuracy", "classification").costs([(outputs, labels)]).tolist()
            [0.5]
        """
        outputs, targets = joined(chunks)
        values = self.values(outputs, targets)
        finite = outputs.isfinite().flatten(1).all(1)
        values = values.where(finite, torch.nan)
        return 1 - values if self.is_maximized else values

    def smooth_costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return a smooth stand-in for the costs, [P], which orders networks of equal cost.

        By default the costs themselves. Not in the papers.
        """
        return self.costs([(outputs, targets)])

    def differentiable_cost(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return a stand-in for the cost of one network that has gradients, a scalar.

        By default the smooth costs. Not in the papers.

        Args:
            outputs: for some rows of a split, [N, C, ...].
            targets: of these rows.

        Raises:
            ConfigurationError: the metric has no such form.

        Examples:
            >>> from lossforge.tasks.metrics import as_metric
            >>> outputs = torch.tensor([[0.5], [-0.5]], requires_grad=True)
            >>> cost = as_metric("f1", "classification").differentiable_cost(
            ...     outputs, torch.tensor([1, 0])
            ... )
            >>> round(cost.item(), 4), (torch.autograd.grad(cost, outputs)[0] != 0).all().item()
            (0.018, True)
        """
        return self.smooth_costs(outputs[None], targets)[0]

    @final
    def shown(self, cost: float) -> float:
        """Return the metric of a cost: what people read."""
        return 1 - cost if self.is_maximized else cost

    @property
    def direction(self) -> str:
        """What messages and tables say of it."""
        return "higher is better" if self.is_maximized else "lower is better"


class RowMetric(Metric, ABC):
    """A metric whose cost is the mean of one number a row."""

    @abstractmethod
    def row_costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the part of each row that counts, [P, N]."""

    @final
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the metric of each network, [P]."""
        costs = self.costs([(outputs, targets)])
        return 1 - costs if self.is_maximized else costs

    @final
    def costs(self, chunks: Iterable[Chunk]) -> Tensor:
        """Return the mean over the rows that count, for each network: [P]."""
        return torch.cat([self.row_costs(*chunk) for chunk in chunks], -1).double().mean(-1)


def joined(chunks: Iterable[Chunk]) -> Chunk:
    """Return the outputs and targets of a split in one."""
    outputs, targets = zip(*chunks, strict=True)
    return torch.cat(outputs, 1), torch.cat(targets)
