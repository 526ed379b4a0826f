"""Clipping of a gradient's norm, and a direction's way back through it."""

from typing import final

import torch
from torch import Tensor

from lossforge.training.optimizers import Tensors

MARGIN = 1e-6
"""added to the norm, as `torch.nn.utils.clip_grad_norm_` does"""


@final
class Clipping:
    """The map g -> limit g / (|g| + 1e-6) where |g| is above the limit, at one g.

    Args:
        gradients: g.
        limit: greatest norm; none where None.

    Attributes:
        clipped: what the map gives.

    Examples:
        >>> Clipping([torch.tensor([3.0, 4.0])], limit=1.0).clipped
        [tensor([0.6000, 0.8000])]
    """

    def __init__(self, gradients: Tensors, limit: float | None):
        self.clipped, self._limit = gradients, limit
        if limit is not None:
            self._scale = (limit / (_norm(gradients) + MARGIN)).clamp(max=1.0)
            self.clipped = [g * self._scale for g in gradients]

    def pull_back(self, direction: Tensors) -> Tensors:
        """Return the transposed derivative of the map applied to a direction."""
        if self._limit is None:
            return direction
        inner = sum((w * g).sum() for w, g in zip(direction, self.clipped, strict=True))
        along = torch.where(self._scale < 1, inner / (_norm(self.clipped) * self._limit), 0)
        return [self._scale * (w - along * g) for w, g in zip(direction, self.clipped, strict=True)]


def _norm(tensors: Tensors) -> Tensor:
    return torch.nn.utils.get_total_norm(tensors)
