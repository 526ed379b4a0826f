"""Layers start as Glorot and Bengio prescribe."""

import pytest
import torch

from lossforge.models.layers import convolution, dense
from lossforge.randomness import isolated_seed


@pytest.mark.parametrize(
    ("layer", "fans"),
    [(lambda: dense(300, 200), 500), (lambda: convolution(30, 20, 5), (30 + 20) * 25)],
)
def test_weights_are_xavier_uniform_and_biases_zero(layer, fans: int):
    with isolated_seed(0):
        made = layer()
    bound = (6 / fans) ** 0.5
    assert 0.99 * bound < made.weight.abs().max() <= bound
    assert made.weight.var().item() == pytest.approx(bound**2 / 3, rel=0.05)
    assert not made.bias.any()
    assert made.weight.requires_grad
    assert made.bias.requires_grad


def test_shapes():
    assert dense(3, 2)(torch.zeros(4, 3)).shape == (4, 2)
    assert convolution(3, 2, 5, padding=2)(torch.zeros(4, 3, 8, 8)).shape == (4, 2, 8, 8)
