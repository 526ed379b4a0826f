"""SqueezeNet has the fire modules of the paper's table 1."""

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.models import SqueezeNet

TABLE = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]


def test_fires_squeeze_and_expand_as_in_the_table():
    network = SqueezeNet().build((3, 32, 32), outputs=10)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    fires = [layers[1 + 3 * index : 4 + 3 * index] for index in range(8)]
    before = layers[0].out_channels
    for (squeeze, expand), (first, narrow, wide) in zip(TABLE, fires, strict=True):
        assert (first.in_channels, first.out_channels) == (before, squeeze)
        assert (narrow.kernel_size, narrow.out_channels) == ((1, 1), expand)
        assert (wide.kernel_size, wide.out_channels) == ((3, 3), expand)
        before = 2 * expand
    assert (layers[-1].in_channels, layers[-1].out_channels) == (512, 10)


def test_a_fire_joins_both_halves():
    network = SqueezeNet().build((3, 16, 16), outputs=10).eval()
    fire = next(layer for layer in network if hasattr(layer, "squeeze"))
    images = torch.randn(2, 96, 4, 4)
    squeezed = fire.squeeze(images)
    expected = torch.cat([fire.narrow(squeezed), fire.wide(squeezed)], 1)
    assert torch.equal(fire(images), expected)
    assert fire(images).shape == (2, 128, 4, 4)


def test_small_images_are_refused():
    with pytest.raises(ConfigurationError, match="squeezenet takes images"):
        SqueezeNet().build((3, 7, 8), outputs=5)
