"""R2-D2: a head by ridge regression in closed form, through which the encoder is meta-learned.

Source: Bertinetto et al., "Meta-learning with differentiable closed-form solvers" (ICLR 2019, arXiv
1805.08136). X [N·K, F] are support features and Y [N·K, N] their one-hot labels.

    (1)  W = argmin ‖X W - Y‖² + λ ‖W‖² = Xᵀ (X Xᵀ + λ I)⁻¹ Y
    (2)  outputs = a · X' W + b                            for query features X'

λ, a and b are meta-learned with the encoder; the matrix to invert has a row for each support row.
a begins at 10 here, so that outputs between 0 and 1 can be sure from the start.
"""

import math
from typing import final

import torch
from torch import Tensor, nn

from lossforge.methods.npbml.base import DirectLearner, embed_both
from lossforge.methods.npbml.loss import one_hot
from lossforge.tasks.episodes import Episode

FIRST_SCALE = 10.0


def ridge(features: Tensor, targets: Tensor, penalty: Tensor | float) -> Tensor:
    """Return W of Eq. (1), [F, N], without an intercept.

    Args:
        features: X, [B, F].
        targets: Y, [B, N].
        penalty: λ.

    Examples:
        >>> ridge(torch.eye(2), torch.eye(2), 1.0)
        tensor([[0.5000, 0.0000],
                [0.0000, 0.5000]])
    """
    identity = torch.eye(len(features), dtype=features.dtype, device=features.device)
    gram = features @ features.T + penalty * identity
    weights: Tensor = features.T @ torch.linalg.solve(gram, targets)
    return weights


@final
class R2D2(DirectLearner):
    """Classify query rows by ridge regression on the support set's features.

    Args:
        encoder: gives the features.
        ways: classes N of a task.
    """

    def __init__(self, encoder: nn.Module, ways: int):
        super().__init__(encoder)
        self.ways = ways
        self.log_penalty = nn.Parameter(torch.zeros(()))
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        self.shift = nn.Parameter(torch.zeros(()))

    @property
    def fixed_ways(self) -> int:
        """How many classes or values every task has."""
        return self.ways

    def outputs(self, episode: Episode) -> Tensor:
        """Return outputs on the query rows, [Q, N]."""
        support, query = embed_both(self.encoder, episode)
        y = one_hot(episode.support_targets, self.ways, support.dtype)
        w = ridge(support, y, self.log_penalty.exp())  # Eq. (1)
        outputs: Tensor = self.log_scale.exp() * (query @ w) + self.shift  # Eq. (2)
        return outputs
