"""The performance metric P: what a loss is chosen by, and what a table reports. Lower is better."""

import math
from typing import assert_never

import torch
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


MARGIN_SLOPE = 4.0
"""of the sigmoid of a margin, in units of the outputs' root mean square; see benchmarks/ablation"""


def margin_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return a smooth error rate, by which losses can be told apart that make the same mistakes.

    A row's margin is by how much its target's output exceeds the greatest other one, relative to
    the root mean square of all centered outputs: like the error rate, it does not depend on how
    large outputs are. A row counts as sigmoid(-4 margin). Not in the papers.

    Args:
        outputs: [P, N, C].
        targets: labels [N].

    Returns:
        [P], from 0 to 1.

    Examples:
        >>> import torch
        >>> outputs = torch.tensor([[[2.0, 0.0], [0.0, 2.0]], [[2.0, 0.0], [2.0, 0.0]]])
        >>> margin_error(outputs, torch.tensor([0, 1])).tolist()
        [0.0003..., 0.5]
    """
    if outputs.shape[-1] == 1:
        signs = 2 * targets.reshape(-1).to(outputs.dtype) - 1
        margins = outputs.squeeze(-1) * signs
        size = outputs.square().mean((-2, -1)).sqrt()
    else:
        labels = targets.reshape(1, -1, 1).expand(len(outputs), -1, 1)
        theirs = outputs.gather(-1, labels).squeeze(-1)
        margins = theirs - outputs.scatter(-1, labels, -math.inf).amax(-1)
        size = (outputs - outputs.mean(-1, keepdim=True)).square().mean((-2, -1)).sqrt()
    relative = margins / size.clamp_min(torch.finfo(outputs.dtype).tiny).unsqueeze(-1)
    return torch.sigmoid(-MARGIN_SLOPE * relative).mean(-1)
