"""ResNet-18 has the paper's stages, and what comes before and after them."""

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.models import PreActResNet18, ResNet18

each = pytest.mark.parametrize("family", [ResNet18, PreActResNet18])


def sizes(network: nn.Module, images: torch.Tensor) -> list[tuple[int, int]]:
    """Channels and side of the outputs of all 3x3 convolutions, in order."""
    found: list[tuple[int, int]] = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.register_forward_hook(lambda *args: found.append(tuple(args[2].shape[1:3])))
    network(images)
    return found


@each
def test_four_stages_double_channels_and_halve_images(family):
    network = family(width=4).build((3, 16, 16), outputs=5)
    found = sizes(network, torch.randn(2, 3, 16, 16))
    assert found[0] == (4, 16)
    assert found[1:] == [size for size in [(4, 16), (8, 8), (16, 4), (32, 2)] for _ in range(4)]


@each
def test_there_are_eighteen_layers_of_weights(family):
    network = family(width=4).build((1, 8, 8), outputs=5)
    layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, nn.Linear)
        or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3))
    ]
    assert len(layers) == 18
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 5)


def test_only_the_first_form_normalizes_the_first_convolution():
    after = [type(layer) for layer in ResNet18(width=4).build((3, 8, 8), 5)]
    before = [type(layer) for layer in PreActResNet18(width=4).build((3, 8, 8), 5)]
    assert after[:3] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert nn.BatchNorm2d not in before[:2]
    assert before[-4:-2] == [nn.BatchNorm2d, nn.ReLU]


@each
def test_unsuitable_widths_and_images_are_refused(family):
    with pytest.raises(ConfigurationError, match="width"):
        family(width=0)
    with pytest.raises(ConfigurationError, match=f"{family.name} takes images"):
        family().build((3, 7, 8), outputs=5)
