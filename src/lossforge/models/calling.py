"""A network run on what a task gives it: one tensor, or several inputs by name or in order."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

Inputs = Tensor | Sequence[Any] | Mapping[str, Any]
"""What a model is called with: one tensor, positional or named arguments."""


def call(module: nn.Module, inputs: Inputs) -> Any:
    """Run a module on one tensor, on positional or on named arguments.

    Examples:
        >>> import torch
        >>> inputs = {"input1": torch.ones(4, 2), "input2": torch.ones(4, 3)}
        >>> call(nn.Bilinear(2, 3, 1), inputs).shape
        torch.Size([4, 1])
    """
    if isinstance(inputs, Mapping):
        return module(**inputs)
    return module(inputs) if isinstance(inputs, Tensor) else module(*inputs)
