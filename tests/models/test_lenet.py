"""LeNet-5 has the paper's layers and takes images alone."""

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.models import LeNet5


def test_layers_are_those_of_the_paper():
    network = LeNet5().build((1, 28, 28), outputs=10)
    layers = [layer for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert [layer.weight.shape[0] for layer in layers] == [6, 16, 120, 84, 10]
    assert [sum(w.numel() for w in layer.parameters()) for layer in layers] == [
        *[156, 2416],
        *[48120, 10164, 850],
    ]


@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 32, 32), (2, 13, 21), (1, 28, 28)])
def test_images_of_any_sufficient_size_fit(shape: tuple[int, ...]):
    network = LeNet5().build(shape, outputs=4)
    assert network(torch.zeros(2, *shape)).shape == (2, 4)


@pytest.mark.parametrize("shape", [(64,), (1, 8, 8), (1, 28, 11), (28, 28), (1, 1, 28, 28)])
def test_tables_and_small_images_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ConfigurationError, match=r"lenet takes images .* choose mlp"):
        LeNet5().build(shape, outputs=10)
