"""A loss as curves: its value and slope by the prediction, beside the default loss."""

import copy
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor

from lossforge.analysis.behavior import of_one_row
from lossforge.losses import Loss, SymbolicLoss, default_loss

POINTS = 200
EDGE = 0.005
"""probabilities are looked at from this one to one minus it"""

ERRORS = 3.0
"""errors are looked at from minus this one to it"""

TARGET, NON_TARGET, EXAMPLE, ERROR = "target, y = 1", "non-target, y = 0", "example", "y = 0"


@runtime_checkable
class PerOutput(Protocol):
    """A loss that is a sum over the outputs of a function of (y, p)."""

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        """Return the loss of each output, shaped like `p` [B, C]."""


@final
@dataclass(frozen=True)
class Curve:
    """A loss by the prediction.

    Attributes:
        name: what the prediction is for: a target, a non-target, an example, an error.
        p: the prediction, ascending, [N].
        value: the loss, [N].
        slope: its derivative by `p`, [N].
    """

    name: str
    p: Tensor
    value: Tensor
    slope: Tensor


def curves_of(loss: Loss, classes: int) -> list[Curve]:
    """Return what a loss is of one output, for a target and for a non-target.

    One curve for a classification loss that is no sum over its outputs: of an example, by the
    target's probability, the other outputs being equal among themselves. One curve for a
    regression loss: by the error, with a target of 0.

    Args:
        loss: any.
        classes: of the outputs (classification).

    Examples:
        >>> target, other = curves_of(SymbolicLoss("-y*log(p)"), 10)
        >>> middle = (target.p - 0.5).abs().argmin()
        >>> round(float(target.value[middle]), 1), abs(float(other.value[middle]))
        (0.7, 0.0)
    """
    loss, classes = of_one_row(copy.deepcopy(loss).double().requires_grad_(False), classes)
    if not loss.kind.predicts_probabilities:
        p = torch.linspace(-ERRORS, ERRORS, POINTS, dtype=torch.double)
        column = p[:, None]
        return [_curve(ERROR, p, loss.per_example(column, torch.zeros_like(column)).flatten())]
    p = torch.linspace(EDGE, 1 - EDGE, POINTS, dtype=torch.double)
    if isinstance(loss, PerOutput):
        wide = p[:, None].expand(-1, classes)
        return [
            _curve(name, p, loss.elementwise(torch.full_like(wide, y), wide)[:, 0])
            for name, y in ((TARGET, 1.0), (NON_TARGET, 0.0))
        ]
    return [_example_curve(loss, classes)]


def default_curves(loss: Loss, classes: int) -> list[Curve]:
    """Return the default loss's curves for the predictions that `curves_of` looks at.

    Args:
        loss: that the default loss is held against.
        classes: of the outputs (classification).
    """
    if not loss.kind.predicts_probabilities:
        return curves_of(default_loss(loss.kind), classes)
    if isinstance(loss, PerOutput):
        return curves_of(SymbolicLoss("-y*log(p)", kind=loss.kind), classes)
    # Also where the default is itself a sum over its outputs: both are drawn over one axis.
    default, classes = of_one_row(default_loss(loss.kind), classes)
    return [_example_curve(default, classes)]


def _example_curve(loss: Loss, classes: int) -> Curve:
    """Return a loss by the target's probability, the other outputs being equal."""
    p = torch.linspace(EDGE, 1 - EDGE, POINTS, dtype=torch.double)
    outputs = torch.zeros(POINTS, classes, dtype=torch.double)
    outputs[:, 0] = (p * (classes - 1) / (1 - p)).log()
    return _curve(EXAMPLE, p, loss.per_example(outputs, torch.zeros(POINTS, dtype=torch.long)))


def _curve(name: str, p: Tensor, value: Tensor) -> Curve:
    value = value.detach()
    return Curve(name, p, value, torch.gradient(value, spacing=(p,))[0])
