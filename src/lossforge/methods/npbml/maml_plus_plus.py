"""MAML++: a rate for each step and layer, and at first the outer loss of every inner step.

Source: Antoniou et al., "How to train your MAML" (arXiv 1810.09502). Of its six changes these are
two (per-step loss and per-step, per-layer rates); a third, cosine annealing of the meta rate, all
methods here have. Its changes of the norm's running statistics have nothing to act on: norms here
take the statistics of the batch at hand. Meta-gradients are exact from the first step on.

    (1)  θ_{j+1} = θ_j - rate_{j,l} ∇L(θ_j)               for each layer l
    (2)  outer loss = Σ_j v_j · L_query(θ_j)              over the steps j = 1 ... K

with v_j = 1/K at first, falling to that of the last step alone.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from lossforge.methods.npbml.inner_rule import InnerRule, directions
from lossforge.training.hypergradient.unroll import Point
from lossforge.training.optimizers import SGD

EVERY_STEP_UNTIL = 0.15
"""share of meta-training in which earlier steps count: 15 of 100 epochs in the released code"""

LEAST_SHARE = 0.03
"""of an even weight, below which that of an earlier step does not fall before that"""


@final
class LayerRates(InnerRule):
    """A rate for each inner step and each tensor of weights.

    Args:
        tensors: how many adapt.
        steps: of the inner loop.
        first: the rate that all begin at.
    """

    def __init__(self, tensors: int, steps: int, first: float):
        super().__init__()
        self.rates = nn.Parameter(torch.full((steps, tensors), first))

    def forward(
        self, point: Point, gradients: Sequence[Tensor], index: int, optimizer: SGD
    ) -> Point:
        """Return the point after a step."""
        decay = optimizer.weight_decay
        pairs = zip(gradients, point.parameters, strict=True)
        decayed = [g.add(theta, alpha=decay) for g, theta in pairs]
        found, state = directions(point, decayed, optimizer)
        moved = [
            theta - rate * d  # Eq. (1)
            for theta, rate, d in zip(point.parameters, self.rates[index], found, strict=True)
        ]
        return Point(moved, state)


def step_weights(steps: int, progress: float) -> list[float]:
    """Return v of Eq. (2), the weight of each step's outer loss.

    Args:
        steps: K of the inner loop.
        progress: share of meta-training that is done.

    Examples:
        >>> step_weights(4, 0.0)
        [0.25, 0.25, 0.25, 0.25]
        >>> step_weights(4, 1.0)
        [0.0, 0.0, 0.0, 1.0]
    """
    if progress >= EVERY_STEP_UNTIL:
        return [0.0] * (steps - 1) + [1.0]
    share = max(1 - progress / EVERY_STEP_UNTIL, LEAST_SHARE) / steps
    return [share] * (steps - 1) + [1 - (steps - 1) * share]
