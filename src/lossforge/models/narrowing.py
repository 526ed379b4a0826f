"""Narrower versions of dense networks, on which a search can try more candidates in less time."""

from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from lossforge.models.factory import Factory, initialize


def narrowed(factory: Factory, width: int) -> Factory | None:
    """Return a factory of the same networks with at most `width` units in each hidden layer.

    A narrow network has the first units of a freshly initialized wide one. Weights grow by the
    square root of the inputs that were left out, so that outputs are as large as before under
    every initialization that scales with the number of inputs.

    Args:
        factory: of networks.
        width: of hidden layers.

    Returns:
        The factory; None unless the networks are sequences of dense layers and of layers without
        weights, with a hidden layer that is wider.

    Examples:
        >>> from lossforge.models import MLP
        >>> narrow = narrowed(lambda: MLP(width=1000).build((64,), outputs=10), 128)
        >>> [tuple(weight.shape) for weight in narrow().parameters() if weight.dim() == 2]
        [(128, 64), (128, 128), (10, 128)]
        >>> narrowed(lambda: MLP(width=100).build((64,), outputs=10), 128) is None
        True
    """
    network = initialize(factory, seed=0)
    if not isinstance(network, nn.Sequential) or not all(map(_is_simple, network)):
        return None
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    if all(layer.out_features <= width for layer in layers[:-1]):
        return None

    return _Narrowed(factory, width)


@final
@dataclass(frozen=True)
class _Narrowed:
    """A factory that other processes can be sent, if the wide networks' factory can."""

    factory: Factory
    width: int

    def __call__(self) -> nn.Module:
        wide = self.factory()
        assert isinstance(wide, nn.Sequential)
        *_, last = (layer for layer in wide if isinstance(layer, nn.Linear))
        parts: list[nn.Module] = []
        inputs: int | None = None
        for layer in wide:
            if not isinstance(layer, nn.Linear):
                parts.append(layer)
                continue
            outputs = layer.out_features if layer is last else min(self.width, layer.out_features)
            parts.append(_cut(layer, inputs or layer.in_features, outputs))
            inputs = outputs
        return nn.Sequential(*parts)


def _is_simple(layer: nn.Module) -> bool:
    """Tell whether a layer can stand in a narrower network."""
    return type(layer) is nn.Linear or not (
        any(True for _ in layer.parameters()) or any(True for _ in layer.buffers())
    )


def _cut(layer: nn.Linear, inputs: int, outputs: int) -> nn.Linear:
    cut = nn.Linear(inputs, outputs, bias=layer.bias is not None, device="meta")
    cut = cut.to_empty(device=layer.weight.device)
    with torch.no_grad():
        growth = (layer.in_features / inputs) ** 0.5
        cut.weight.copy_(layer.weight[:outputs, :inputs] * growth)
        if layer.bias is not None:
            cut.bias.copy_(layer.bias[:outputs])
    return cut
