"""A user's model and optimizer, run as they are."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lossforge.training.online.mirror import Mirror
from lossforge.training.optimizers import Tensors

Inputs = Tensor | Sequence[Any] | Mapping[str, Any]
"""What the model is called with: one tensor, positional or named arguments."""


@final
@dataclass(frozen=True)
class Trainee:
    """A model with its optimizer.

    Attributes:
        model: to train.
        optimizer: of its parameters.
        mirror: of the optimizer.
        clip_norm: greatest norm of a gradient; none where None.
        precision: of autocast; none where None.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    mirror: Mirror
    clip_norm: float | None = None
    precision: torch.dtype | None = None

    def named(self) -> dict[str, Tensor]:
        """Return the parameters that the optimizer moves, in its order, by their names."""
        names = {id(theta): name for name, theta in self.model.named_parameters()}
        return {names[id(theta)]: theta for theta in self.mirror.parameters()}

    def buffers(self) -> dict[str, Tensor]:
        """Return copies of the model's buffers."""
        return {name: buffer.clone() for name, buffer in self.model.named_buffers()}

    def outputs(self, state: Mapping[str, Tensor] | None, inputs: Inputs) -> Tensor:
        """Run the model, with other parameters or buffers than its own where `state` has them."""
        args, kwargs = _arguments(inputs)
        with self._autocast():
            if state is None:
                found = self.model(*args, **kwargs)
            else:
                found = functional_call(self.model, dict(state), args, kwargs)
        logits = found["logits"] if isinstance(found, Mapping) else found
        assert isinstance(logits, Tensor)
        return logits

    def descend(self, gradients: Tensors) -> None:
        """Let the user's optimizer take its step."""
        parameters = self.mirror.parameters()
        for theta, g in zip(parameters, gradients, strict=True):
            theta.grad = g
        self.optimizer.step()
        for theta in parameters:
            theta.grad = None

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision is None:
            return nullcontext()
        device = next(self.model.parameters()).device.type
        return torch.autocast(device, self.precision)


def _arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return ((inputs,) if isinstance(inputs, Tensor) else tuple(inputs)), {}
