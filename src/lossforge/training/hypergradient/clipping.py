"""Clipping of gradients, and its transposed derivative."""

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from lossforge.training.hypergradient.jacobian import Gradients

MARGIN = 1e-6
"""added to the norm, as `torch.nn.utils.clip_grad_norm_` does"""


class Clipping(ABC):
    """A map of gradients, at the gradients that it is given; None stays None.

    Attributes:
        clipped: what the map gives.
    """

    clipped: Gradients

    @abstractmethod
    def forget(self) -> None:
        """Let go of what `pull_back` has no need of."""

    @abstractmethod
    def pull_back(self, direction: Gradients) -> Gradients:
        """Return the transposed derivative of the map applied to a direction."""


@final
class NoClipping(Clipping):
    """The identity."""

    def __init__(self, gradients: Gradients):
        self.clipped = gradients

    def forget(self) -> None:
        """Let go of the gradients."""
        self.clipped = []

    def pull_back(self, direction: Gradients) -> Gradients:
        """Return the direction."""
        return direction


@final
class ClippingByNorm(Clipping):
    """The map g -> limit g / (|g| + 1e-6) where |g| is above the limit.

    Examples:
        >>> ClippingByNorm([torch.tensor([3.0, 4.0]), None], limit=1.0).clipped
        [tensor([0.6000, 0.8000]), None]
    """

    def __init__(self, gradients: Gradients, limit: float):
        self._limit = limit
        self._scale = (limit / (_norm(gradients) + MARGIN)).clamp(max=1.0)
        self.clipped = [None if g is None else g * self._scale for g in gradients]

    def forget(self) -> None:
        """Keep the gradients."""

    def pull_back(self, direction: Gradients) -> Gradients:
        """Return the transposed derivative of the map applied to a direction."""
        pairs = list(zip(direction, self.clipped, strict=True))
        inner = sum(
            ((w * g).sum() for w, g in pairs if w is not None and g is not None),
            start=torch.zeros_like(self._scale),
        )
        along = torch.where(self._scale < 1, inner / (_norm(self.clipped) * self._limit), 0)
        return [None if w is None or g is None else self._scale * (w - along * g) for w, g in pairs]


@final
class ClippingByValue(Clipping):
    """Each number is held between -limit and limit.

    Examples:
        >>> ClippingByValue([torch.tensor([3.0, 0.4])], limit=1.0).clipped
        [tensor([1.0000, 0.4000])]
    """

    def __init__(self, gradients: Gradients, limit: float):
        self._inside = [None if g is None else g.abs() <= limit for g in gradients]
        self.clipped = [None if g is None else g.clamp(-limit, limit) for g in gradients]

    def forget(self) -> None:
        """Let go of the gradients."""
        self.clipped = []

    def pull_back(self, direction: Gradients) -> Gradients:
        """Return the direction where nothing was clipped, zero elsewhere."""
        pairs = zip(direction, self._inside, strict=True)
        return [None if w is None or inside is None else w * inside for w, inside in pairs]


def _norm(gradients: Gradients) -> Tensor:
    return torch.nn.utils.get_total_norm([g for g in gradients if g is not None])
