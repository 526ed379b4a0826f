"""Weights of classes that make up for their numbers, from the training targets of a task."""

from typing import Literal, get_args

import torch
from torch import Tensor

from lossforge.errors import ConfigurationError, unknown_name
from lossforge.tasks.kinds import Classification, Kind, MultiLabel

Weighting = Literal["balanced", "root"]
"""classes count alike, or as the roots of their numbers"""

POWERS: dict[str, float] = {"balanced": 1.0, "root": 0.5}
"""of the inverse numbers of rows"""


def check_weighting(name: str) -> Weighting:
    """Return the name of a weighting, if there is such.

    Raises:
        UnknownNameError: there is none.
    """
    for known in get_args(Weighting):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise unknown_name("weighting of classes", name, get_args(Weighting))


def class_weights(targets: Tensor, kind: Kind, outputs: int, weighting: Weighting) -> Tensor:
    """Return weights for the ``weight`` option of a loss, whose mean over the targets is 1.

    A class of n rows has a weight in proportion to 1/n, or to its root. With several labels, each
    has weights [L, 2] of its absence and its presence.

    Args:
        targets: of training.
        kind: of the task.
        outputs: of the task.
        weighting: how weights depend on the numbers of rows.

    Raises:
        ConfigurationError: the kind has no classes.

    Examples:
        >>> labels = torch.tensor([0, 0, 0, 1])
        >>> class_weights(labels, Classification(), 2, "balanced")
        tensor([0.6667, 2.0000])
    """
    if isinstance(kind, MultiLabel):
        by_label = targets.movedim(1, 0).flatten(1)
        known = by_label != kind.ignore_index
        yes = by_label.where(known, 0).double().sum(1)
        return _weights(torch.stack([known.sum(1) - yes, yes], 1), weighting)
    if not isinstance(kind, Classification):
        raise ConfigurationError(f"{kind} has no classes to weigh; leave weight={weighting} out")
    if targets.is_floating_point():
        counts = targets.movedim(1, -1).flatten(0, -2).sum(0)
    else:
        counts = targets[targets != kind.ignore_index].bincount(minlength=max(2, outputs))
    return _weights(counts.double(), weighting)


def _weights(counts: Tensor, weighting: Weighting) -> Tensor:
    weights = counts.clamp_min(1).pow(-POWERS[weighting])
    mean = (weights * counts).sum(-1, keepdim=True) / counts.sum(-1, keepdim=True)
    return (weights / mean).float()
