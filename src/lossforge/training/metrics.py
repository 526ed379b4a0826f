"""The performance metric P: what a loss is chosen by, and what a table reports. Lower is better."""

from typing import assert_never

from torch import Tensor

from lossforge.tasks.task import Kind


def metric_per_example(outputs: Tensor, targets: Tensor, kind: Kind) -> Tensor:
    """Return each example's contribution to the metric; the metric is their mean.

    Args:
        outputs: [..., B, C].
        targets: labels [B] or values [B, C].
        kind: of the task.

    Returns:
        [..., B]: 1 for a wrong class and 0 for the right one; or the squared error, the mean of
        the outputs'.

    Examples:
        >>> import torch
        >>> outputs, labels = torch.tensor([[2.0, 1.0], [2.0, 1.0]]), torch.tensor([0, 1])
        >>> metric_per_example(outputs, labels, "classification")
        tensor([0., 1.])
    """
    match kind:
        case "classification":
            if outputs.shape[-1] == 1:
                guesses = outputs.squeeze(-1) > 0
                return (guesses != targets.bool().reshape(-1)).to(outputs.dtype)
            return (outputs.argmax(-1) != targets).to(outputs.dtype)
        case "regression":
            return (outputs - targets).square().mean(-1)
    assert_never(kind)
