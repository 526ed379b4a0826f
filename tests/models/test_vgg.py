"""VGG-16 has thirteen convolutions in five pooled blocks."""

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.models import VGG16


def test_blocks_are_those_of_configuration_d():
    network = VGG16(width=2).build((3, 32, 32), outputs=7)
    plan = [
        layer.out_channels if isinstance(layer, nn.Conv2d) else "pool"
        for layer in network
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d)
    ]
    assert plan == [
        *[2, 2, "pool", 4, 4, "pool", 8, 8, 8, "pool"],
        *[16, 16, 16, "pool", 16, 16, 16, "pool"],
    ]


@pytest.mark.parametrize("side", [8, 9, 32, 45])
def test_every_sufficient_size_ends_in_a_mean(side):
    network = VGG16(width=2).build((1, side, side + 1), outputs=7)
    assert network(torch.randn(2, 1, side, side + 1)).shape == (2, 7)


def test_unsuitable_widths_and_images_are_refused():
    with pytest.raises(ConfigurationError, match="width"):
        VGG16(width=0)
    with pytest.raises(ConfigurationError, match="vgg16 takes images"):
        VGG16().build((3, 32, 7), outputs=5)
