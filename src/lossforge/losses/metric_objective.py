"""A metric's smooth form as the objective of meta-learning."""

from typing import ClassVar, final

from torch import Tensor

from lossforge.errors import ConfigurationError
from lossforge.losses.loss import Loss
from lossforge.tasks.metrics import Metric
from lossforge.tasks.rows import full_precision


@final
class MetricObjective(Loss):
    """A stand-in with gradients for what a task is measured by (a task loss).

    Margins stand for decisions in F1, balanced error, mIoU and the error rate; pairs of rows for
    their order in AUROC. It is what a learned loss is to lower on validation data, and no loss to
    train under: it is of all rows together, so small batches tell little of it. Not in the papers.

    Args:
        metric: of the task.

    Examples:
        >>> import torch
        >>> from lossforge.tasks.metrics import as_metric
        >>> loss = MetricObjective(as_metric("auroc", "classification"))
        >>> outputs, labels = torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1])
        >>> round(loss(outputs, labels).item(), 4)
        0.0003
    """

    name: ClassVar[str] = "metric"
    is_separable: ClassVar[bool] = False

    def __init__(self, metric: Metric):
        super().__init__(metric.kind)
        self._metric = metric

    def forward(
        self, outputs: Tensor, targets: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Return the metric's stand-in for outputs [B, C, ...], a scalar.

        Raises:
            ConfigurationError: the metric has no form with gradients, or rows have weights.
        """
        if sample_weight is not None:
            raise ConfigurationError(f"{self} takes no sample_weight; drop it")
        outputs = full_precision(outputs)
        cost = self._metric.differentiable_cost(outputs, targets)
        if outputs.requires_grad and not cost.requires_grad:
            raise ConfigurationError(
                f"the metric {self._metric.name} has no form with gradients; name a loss as "
                "task_loss, or leave it out"
            )
        return cost.to(outputs.dtype)

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Raise `ConfigurationError`: a row by itself has no metric."""
        raise ConfigurationError(f"{self} is of all rows together; no row has one by itself")

    def definition(self) -> dict[str, object]:
        """Return the objective as plain data, by which it is told from others."""
        return {"type": self.name, "metric": self._metric.name}

    def __str__(self) -> str:
        """Return what the metric is called, with what stands for it."""
        return f"smooth {self._metric.name}"
