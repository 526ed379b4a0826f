"""ALFA: rates and weight decays that a small network gives for each task, step and layer.

Source: Baik et al., "Meta-Learning with Adaptive Hyperparameters" (NeurIPS 2020, arXiv 2011.00209).

    (1)  θ_{j+1} = keep_j ⊙ θ_j - rate_j ⊙ ∇L(θ_j)
    (2)  (a, b) = g(τ_j),  τ_j = the means of each layer's weights and of its gradient
    (3)  rate_j = rates_{j,l} · a_l,  keep_j = 1 - decays_{j,l} · b_l   for each layer l

g, rates and decays are meta-learned. As in the released code, g has one hidden layer, as wide as τ.
Its last layer begins at a = b = 1 here, so that ALFA begins as MAML; in the released code a and b
begin near 0, which a short meta-training does not make up for. ∇L is the inner optimizer's
direction: with a momentum of 0 it is the gradient, as in the paper.
"""

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.methods.npbml.inner_rule import InnerRule, directions
from lossforge.training.hypergradient.unroll import Point
from lossforge.training.optimizers import SGD


@final
class ALFA(InnerRule):
    """Rates and decays by a network.

    Args:
        tensors: of weights that adapt.
        steps: of the inner loop.
        optimizer: of the inner loop; its rate and decay are begun with.
    """

    def __init__(self, tensors: int, steps: int, optimizer: SGD):
        super().__init__()
        rate, decay = optimizer.learning_rate, optimizer.weight_decay
        self.rates = nn.Parameter(torch.full((steps, tensors), rate))
        self.decays = nn.Parameter(torch.full((steps, tensors), rate * decay))
        self.hidden = nn.Linear(2 * tensors, 2 * tensors)
        self.last = nn.Linear(2 * tensors, 2 * tensors)
        nn.init.zeros_(self.last.weight)
        nn.init.ones_(self.last.bias)

    def forward(
        self, point: Point, gradients: Sequence[Tensor], index: int, optimizer: SGD
    ) -> Point:
        """Return the point after a step."""
        tau = torch.stack([tensor.mean() for tensor in (*point.parameters, *gradients)])
        a, b = self.last(F.relu(self.hidden(tau))).chunk(2)  # Eq. (2)
        rates, keeps = self.rates[index] * a, 1 - self.decays[index] * b  # Eq. (3)
        found, state = directions(point, gradients, optimizer)
        moved = [
            keep * theta - rate * d  # Eq. (1)
            for keep, theta, rate, d in zip(keeps, point.parameters, rates, found, strict=True)
        ]
        return Point(moved, state)
