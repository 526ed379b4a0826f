"""Layers for images start as He et al. prescribe and keep or halve the size."""

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.models.pictures import (
    GlobalMean,
    biased_convolution,
    he_convolution,
    normalized,
    require_images,
)


def test_weights_are_he_normal():
    torch.manual_seed(0)
    by_outputs, by_inputs = he_convolution(20, 80, 3), biased_convolution(20, 80, 3)
    assert by_outputs.weight.var().item() == pytest.approx(2 / (80 * 9), rel=0.05)
    assert by_inputs.weight.var().item() == pytest.approx(2 / (20 * 9), rel=0.05)
    assert by_outputs.bias is None
    assert not by_inputs.bias.any()


def test_sizes():
    images = torch.zeros(2, 3, 16, 12)
    assert he_convolution(3, 5, 3)(images).shape == (2, 5, 16, 12)
    assert he_convolution(3, 5, 3, 2)(images).shape == (2, 5, 8, 6)
    assert he_convolution(3, 5, 3, padding=0)(images).shape == (2, 5, 14, 10)
    assert torch.nn.Sequential(*normalized(3, 5, 1))(images).shape == (2, 5, 16, 12)
    assert GlobalMean()(images + 2).tolist() == [[2.0] * 3] * 2


@pytest.mark.parametrize("shape", [(64,), (3, 7, 32), (28, 28)])
def test_what_is_no_image_is_told(shape):
    with pytest.raises(ConfigurationError, match="vgg16 takes images"):
        require_images("vgg16", shape, 8)
