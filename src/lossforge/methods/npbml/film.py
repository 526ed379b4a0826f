"""Feature-wise modulation by what a task's own data look like (Perez et al. 2018)."""

from typing import final

import torch
from torch import Tensor, nn


@final
class FiLM(nn.Module):
    """Scale and shift features by functions of a task's mean row; at first the identity.

    Source: thesis, ch. 7: FiLM(x) = (1 + gamma)·x + beta, both linear in the mean row. It belongs
    after a norm and before the activation: a norm takes scale and shift away again.

    Args:
        features: channels to modulate, the second dimension of the inputs.
        seen: width of the rows that gamma and beta are computed from; by default `features`.
        task: width of a task's vector, from which they are computed instead of from rows; 0 for
            none. The vector is the buffer `task`, which a functional call sets.

    Examples:
        >>> x = torch.randn(4, 3, 5, 5)
        >>> bool((FiLM(3)(x) == x).all())
        True
    """

    task: Tensor | None

    def __init__(self, features: int, seen: int | None = None, task: int = 0):
        super().__init__()
        self.generator = nn.Linear(task or (features if seen is None else seen), 2 * features)
        self.register_buffer("task", torch.zeros(task) if task else None, persistent=False)
        nn.init.zeros_(self.generator.weight)
        nn.init.zeros_(self.generator.bias)

    def coefficients(self, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scale 1 + gamma and the shift beta, [features] each, for a mean row [seen]."""
        gamma, beta = self.generator(mean if self.task is None else self.task).chunk(2)
        return 1 + gamma, beta

    def forward(self, inputs: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return modulated features.

        Args:
            inputs: features [B, features, ...].
            rows: what the modulation is computed from, [B, seen, ...]; by default the inputs.
        """
        rows = inputs if rows is None else rows
        others = [axis for axis in range(rows.dim()) if axis != 1]
        # A mean over one row is the row: loss networks of weights see no more.
        mean = rows[0] if rows.dim() == 2 and len(rows) == 1 else rows.mean(others)
        scale, shift = self.coefficients(mean)
        if inputs.dim() > 2:
            shape = (1, -1, *[1] * (inputs.dim() - 2))
            scale, shift = scale.view(shape), shift.view(shape)
        return torch.addcmul(shift, inputs, scale)
