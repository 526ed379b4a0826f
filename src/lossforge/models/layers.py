"""Layers with Xavier-uniform weights and zero biases (Glorot & Bengio 2010, Eq. 16)."""

from typing import TypeVar

from torch import nn

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def dense(inputs: int, outputs: int) -> nn.Linear:
    """Return a layer from [B, inputs] to [B, outputs]."""
    return _xavier(nn.Linear(inputs, outputs, device="meta"))


def convolution(inputs: int, outputs: int, kernel: int, padding: int = 0) -> nn.Conv2d:
    """Return a layer from [B, inputs, h, w] to `outputs` channels."""
    return _xavier(nn.Conv2d(inputs, outputs, kernel, padding=padding, device="meta"))


def _xavier(layer: Layer) -> Layer:
    # A search builds a network per candidate and step, and torch's own draw is not wanted: on the
    # meta device there is none.
    layer = layer.to_empty(device="cpu")
    nn.init.xavier_uniform_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
