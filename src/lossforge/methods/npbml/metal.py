"""MeTAL: an inner loss that a second network adapts to the task and the step.

Source: Baik et al., "Meta-Learning with Task-Adaptive Loss Function for Few-Shot Learning" (ICCV
2021, arXiv 2110.03909), and its released code.

    (1)  L = L_support + M_φ'(s) averaged over support rows + M_χ'(q) over query rows
    (2)  φ' = (1 + scale) ⊙ φ + shift,  (scale, shift) = g_ψ(τ)   for each tensor of φ; likewise χ
    (3)  τ = the support loss and the mean of each layer's weights

s is τ with a support row's outputs and one-hot label; q the means with a query row's outputs and
the negative entropy of its prediction. Both M and g have one hidden layer as wide as what they see,
which is standardized, and each inner step has networks of its own. In regression there is no
entropy and no term of query rows.

The last layer of M begins near 0 here, so that MeTAL begins as MAML nearly; in the released code it
begins as large as any, with a random loss that a short meta-training does not unlearn.
"""

from collections.abc import Mapping
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.methods.npbml.loss import one_hot, task_loss
from lossforge.tasks.kinds import Kind

TINY = 1e-12
DEVIATION = 0.01
"""of the first weights of M's last layer"""

TENSORS = 4
"""of a loss network: two layers of weight and bias"""


@final
class AdaptiveTerm(nn.Module):
    """M of one step with its g: from what is seen of each row to one number.

    Args:
        seen: width of a row of what M sees.
        state: width of what g sees.
    """

    def __init__(self, seen: int, state: int):
        super().__init__()
        self.hidden, self.last = nn.Linear(seen, seen), nn.Linear(seen, 1)
        nn.init.xavier_uniform_(self.hidden.weight)
        nn.init.normal_(self.last.weight, std=DEVIATION)
        for layer in (self.hidden, self.last):
            nn.init.zeros_(layer.bias)
        self.adapter = nn.Sequential(
            nn.Linear(state, state), nn.ReLU(), nn.Linear(state, 2 * TENSORS)
        )
        # As released: scale and shift are multiplied by learned numbers that begin at 0.
        self.strengths = nn.Parameter(torch.zeros(2 * TENSORS))

    def forward(self, rows: Tensor, state: Tensor) -> Tensor:
        """Return the term's value for rows [B, seen] and a state [state]."""
        scale, shift = (self.strengths * self.adapter(state)).chunk(2)
        tensors = (self.hidden.weight, self.hidden.bias, self.last.weight, self.last.bias)
        phi = [
            (1 + s) * each + d for s, each, d in zip(scale, tensors, shift, strict=True)
        ]  # Eq. (2)
        return F.linear(F.relu(F.linear(rows, *phi[:2])), *phi[2:]).mean()


@final
class TaskAdaptiveLoss(nn.Module):
    """The inner loss of MeTAL.

    Args:
        kind: of the tasks.
        ways: outputs N.
        tensors: of weights whose means it sees.
        steps: of the inner loop.
    """

    inductive = None
    prototypes = None

    def __init__(self, kind: Kind, ways: int, tensors: int, steps: int):
        super().__init__()
        self.kind, self.ways = kind, ways
        self.needs_query = kind.predicts_probabilities
        state = tensors + 1
        self.support = nn.ModuleList(AdaptiveTerm(state + 2 * ways, state) for _ in range(steps))
        width = tensors + ways + 1
        self.query = nn.ModuleList(
            AdaptiveTerm(width, width) for _ in range(steps if self.needs_query else 0)
        )

    def forward(
        self,
        support: Tensor,
        targets: Tensor,
        query: Tensor | None,
        similarities: Tensor | None,
        weights: Mapping[str, Tensor],
        index: int = 0,
    ) -> Tensor:
        """Return the loss of one inner step, Eq. (1).

        Args:
            support: outputs on the support set, [B, N].
            targets: its labels [B] or values [B, N].
            query: outputs on the query inputs, [Q, N]; None in regression.
            similarities: of no effect.
            weights: the adapted weights by name.
            index: of the inner step, from 0.
        """
        usual = task_loss(support, targets, self.kind).mean()
        means = torch.stack([weight.mean() for weight in weights.values()])
        tau = torch.cat([usual[None], means])  # Eq. (3)
        known = targets
        if self.kind.predicts_probabilities:
            known = one_hot(targets, self.ways, support.dtype)
        seen = torch.cat([tau.expand(len(support), -1), support, known], 1)
        total: Tensor = usual + self.support[index](standardized(seen), standardized(tau))
        if self.needs_query:
            assert query is not None
            log_p = query.log_softmax(1)
            certain = (log_p.exp() * log_p).sum(1, keepdim=True)
            seen = standardized(torch.cat([means.expand(len(query), -1), query, certain], 1))
            total = total + self.query[index](seen, seen.mean(0))
        return total


def standardized(seen: Tensor) -> Tensor:
    """Return numbers with mean 0 and deviation 1.

    Examples:
        >>> standardized(torch.tensor([1.0, 2.0, 3.0]))
        tensor([-1.,  0.,  1.])
    """
    return (seen - seen.mean()) / (seen.std() + TINY)
