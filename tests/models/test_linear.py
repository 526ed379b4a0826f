"""The linear model is one affine map."""

import torch
from torch.nn import functional as F

from lossforge.models import Linear


def test_it_is_affine_in_flattened_inputs(generator: torch.Generator):
    network = Linear().build((1, 8, 8), outputs=10)
    inputs = torch.randn(5, 1, 8, 8, generator=generator)
    expected = F.linear(inputs.flatten(1), network[1].weight, network[1].bias)
    assert torch.equal(network(inputs), expected)
    assert sum(parameter.numel() for parameter in network.parameters()) == 650
