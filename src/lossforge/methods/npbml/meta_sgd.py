"""Meta-SGD: a meta-learned step size for each weight.

Source: Li et al., "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning" (arXiv 1707.09835):

    (1)  θ' = θ - rate ⊙ ∇L(θ)

with rates shaped like θ and learned with the initialization. It is learned as it is, from the inner
rate on: a factor on a rate of 0.01 would hardly move under Adam at 1e-3.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn

from lossforge.methods.npbml.inner_rule import InnerRule
from lossforge.training.hypergradient.unroll import Point
from lossforge.training.optimizers import SGD


@final
class MetaSGD(InnerRule):
    """A rate for each weight.

    Args:
        weights: shaped like what adapts; all ways share the rates of the head, as its weights.
        first: the rate that all begin at.
    """

    def __init__(self, weights: Sequence[Tensor], first: float):
        super().__init__()
        self.rates = nn.ParameterList(torch.full_like(theta, first) for theta in weights)

    def forward(
        self, point: Point, gradients: Sequence[Tensor], index: int, optimizer: SGD
    ) -> Point:
        """Return the point after a step."""
        # A step is linear in gradient and decay, and rates do not change within a task: a rate on
        # both before the momentum is the same as a rate on the step.
        decay = optimizer.weight_decay
        rated = [
            rate * g.add(theta, alpha=decay)  # Eq. (1)
            for rate, g, theta in zip(self.rates, gradients, point.parameters, strict=True)
        ]
        unit = replace(optimizer, learning_rate=1.0, weight_decay=0.0)
        return Point(*unit.step(point.parameters, rated, point.state))
