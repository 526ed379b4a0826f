"""Feature-wise modulation by what a task's own data look like (Perez et al. 2018)."""

from typing import final

from torch import Tensor, nn


@final
class FiLM(nn.Module):
    """Scale and shift features by functions of their mean over the batch; at first the identity.

    Source: thesis, ch. 7: FiLM(x) = (gamma + 1)·x + beta, both computed from the task.

    Args:
        features: channels, the second dimension of the inputs.

    Examples:
        >>> import torch
        >>> x = torch.randn(4, 3, 5, 5)
        >>> bool((FiLM(3)(x) == x).all())
        True
    """

    def __init__(self, features: int):
        super().__init__()
        self.generator = nn.Linear(features, 2 * features)
        nn.init.zeros_(self.generator.weight)
        nn.init.zeros_(self.generator.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return modulated features, shaped like `inputs` [B, features, ...]."""
        others = [axis for axis in range(inputs.dim()) if axis != 1]
        gamma, beta = self.generator(inputs.mean(others)).chunk(2)
        shape = (1, -1, *[1] * (inputs.dim() - 2))
        modulated: Tensor = inputs * (1 + gamma.view(shape)) + beta.view(shape)
        return modulated
