"""Recurrent networks over characters: the state after the last one, then a linear layer."""

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from lossforge.models.family import Family
from lossforge.models.layers import dense
from lossforge.validation import require, require_in_range


@dataclass(frozen=True)
class _Recurrent(Family, ABC):
    cell: ClassVar[Callable[..., nn.RNNBase]]

    width: int = 128
    layers: int = 1

    def __post_init__(self) -> None:
        require_in_range("width", self.width, 1)
        require_in_range("layers", self.layers, 1)

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for one-hot characters [length, alphabet]."""
        require(
            len(input_shape) == 2,
            f"{self.name} takes rows of shape [length, alphabet], not {list(input_shape)}; "
            "choose mlp",
        )
        core = type(self).cell(input_shape[1], self.width, self.layers, batch_first=True)
        return _LastState(core, dense(self.width, outputs))


@final
@dataclass(frozen=True)
class GRU(_Recurrent):
    """Gated recurrent units (Cho et al. 2014) over one-hot characters.

    Args:
        width: units.
        layers: one over the other.
    """

    name: ClassVar[str] = "gru"
    cell: ClassVar[Callable[..., nn.RNNBase]] = nn.GRU


@final
@dataclass(frozen=True)
class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) over one-hot characters.

    Args:
        width: units.
        layers: one over the other.
    """

    name: ClassVar[str] = "lstm"
    cell: ClassVar[Callable[..., nn.RNNBase]] = nn.LSTM


@final
class _LastState(nn.Module):
    """The state at the last character; what is all zero after it is padding."""

    def __init__(self, core: nn.RNNBase, head: nn.Module):
        super().__init__()
        self.core, self.head = core, head

    def forward(self, inputs: Tensor) -> Tensor:
        """Return [B, outputs] for inputs [B, length, alphabet]."""
        states, _ = self.core(inputs)
        lengths = (inputs.abs().sum(-1) > 0).sum(1).clamp_min(1)
        rows = torch.arange(len(inputs), device=inputs.device)
        outputs: Tensor = self.head(states[rows, lengths - 1])
        return outputs
