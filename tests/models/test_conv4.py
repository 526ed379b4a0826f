"""Conv4 has four blocks that each halve the image."""

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.models import Conv4


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 40), (3, 84, 84)])
def test_features_are_the_sixteenth_of_the_image(shape):
    network = Conv4(width=5).build(shape, outputs=4)
    layers = [type(layer) for layer in network]
    assert layers == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d] * 4 + [
        nn.Flatten,
        nn.Linear,
    ]
    assert network[-1].in_features == 5 * (shape[1] // 16) * (shape[2] // 16)
    assert network(torch.randn(2, *shape)).shape == (2, 4)


def test_unsuitable_widths_and_images_are_refused():
    with pytest.raises(ConfigurationError, match="width"):
        Conv4(width=0)
    with pytest.raises(ConfigurationError, match=r"conv4 takes images .* 16x16"):
        Conv4().build((3, 15, 16), outputs=5)
