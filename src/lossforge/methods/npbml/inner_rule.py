"""How an inner step moves the weights that adapt to a task."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn

from lossforge.training.hypergradient.unroll import Point
from lossforge.training.optimizers import SGD, State


class InnerRule(nn.Module, ABC):
    """Maps weights and gradients to the weights after one inner step; may be meta-learned."""

    @abstractmethod
    def forward(
        self, point: Point, gradients: Sequence[Tensor], index: int, optimizer: SGD
    ) -> Point:
        """Return the point after a step.

        Args:
            point: weights and momentum before it.
            gradients: of the inner loss, one a weight.
            index: of the step, from 0.
            optimizer: of the inner loop: its rate, momentum and decay.
        """


@final
class SGDRule(InnerRule):
    """The inner loop's optimizer as it is (MAML, Finn et al. 2017)."""

    def forward(
        self, point: Point, gradients: Sequence[Tensor], index: int, optimizer: SGD
    ) -> Point:
        """Return the point after a step."""
        return Point(*optimizer.step(point.parameters, list(gradients), point.state))


def directions(
    point: Point, gradients: Sequence[Tensor], optimizer: SGD
) -> tuple[list[Tensor], State]:
    """Return the descent directions of a step at a rate of 1 without decay, and the momentum.

    Examples:
        >>> theta = [torch.tensor([1.0])]
        >>> sgd = SGD(0.1, momentum=0.5)
        >>> found, _ = directions(Point(theta, sgd.init(theta)), [torch.tensor([2.0])], sgd)
        >>> found
        [tensor([2.])]
    """
    unit = replace(optimizer, learning_rate=1.0, weight_decay=0.0)
    origin = [torch.zeros_like(theta) for theta in point.parameters]
    moved, state = unit.step(origin, list(gradients), point.state)
    return [-theta for theta in moved], state
