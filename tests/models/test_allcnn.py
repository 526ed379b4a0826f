"""All-CNN-C has nine convolutions and nothing else that learns or pools."""

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.models import AllCNNC
from lossforge.models.pictures import GlobalMean


def test_convolutions_are_those_of_the_paper():
    network = AllCNNC(width=6).build((3, 32, 32), outputs=10)
    layers = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    found = [(layer.out_channels, layer.kernel_size[0], layer.stride[0]) for layer in layers]
    assert found == [
        *[(6, 3, 1), (6, 3, 1), (6, 3, 2)],
        *[(12, 3, 1), (12, 3, 1), (12, 3, 2)],
        *[(12, 3, 1), (12, 1, 1), (10, 1, 1)],
    ]
    others = {type(layer) for layer in network} - {nn.Conv2d}
    assert others == {nn.ReLU, nn.Dropout, GlobalMean}


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        ({}, [0.2, 0.5, 0.5]),
        ({"dropout": 0.0}, [0.2]),
        ({"input_dropout": 0.0, "dropout": 0.3}, [0.3, 0.3]),
        ({"input_dropout": 0.0, "dropout": 0.0}, []),
    ],
)
def test_dropout_stands_before_the_first_and_after_each_stride(options, shares):
    network = AllCNNC(width=6, **options).build((3, 8, 8), outputs=4)
    assert [layer.p for layer in network if isinstance(layer, nn.Dropout)] == shares
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 4)


@pytest.mark.parametrize("options", [{"width": 0}, {"dropout": 1.0}, {"input_dropout": -0.1}])
def test_options_out_of_range_are_told(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        AllCNNC(**options)
