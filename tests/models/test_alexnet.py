"""AlexNet for small images: five convolutions, three poolings, one dense layer."""

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.models import AlexNet


def test_layers_are_those_of_the_paper_s_column():
    network = AlexNet().build((3, 32, 32), outputs=10)
    plan = [
        (layer.out_channels, layer.kernel_size[0], layer.stride[0])
        if isinstance(layer, nn.Conv2d)
        else "pool"
        for layer in network
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d)
    ]
    assert plan == [
        *[(64, 11, 4), "pool", (192, 5, 1), "pool"],
        *[(384, 3, 1), (256, 3, 1), (256, 3, 1), "pool"],
    ]
    assert [layer.bias is not None for layer in network if isinstance(layer, nn.Conv2d)] == [
        True
    ] * 5


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13), (3, 32, 32)])
def test_images_of_any_sufficient_size_fit(shape):
    assert AlexNet().build(shape, outputs=4)(torch.randn(2, *shape)).shape == (2, 4)


def test_small_images_are_refused():
    with pytest.raises(ConfigurationError, match="alexnet takes images"):
        AlexNet().build((3, 7, 32), outputs=5)
