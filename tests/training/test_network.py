"""A module with its weights taken out computes what it did, and keeps its own state."""

import torch
from torch import nn

from lossforge.training import Network


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)
    )


def test_outputs_are_the_module_s_and_arranging_changes_no_number():
    torch.manual_seed(0)
    module, inputs = convolutional(), torch.randn(5, 1, 6, 6)
    network = Network(module)
    expected = module.train()(inputs)
    torch.testing.assert_close(network(network.parameters(), inputs), expected)
    assert torch.equal(network.arrange(inputs), inputs)


def test_buffers_that_are_passed_are_updated_and_the_module_s_own_are_not():
    module, inputs = convolutional(), torch.randn(5, 1, 6, 6)
    network = Network(module)
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    own = network.buffers()
    network(network.parameters(), inputs, own)
    network(network.parameters(), inputs)
    assert all(torch.equal(before[name], b) for name, b in module.named_buffers())
    assert not torch.equal(own["1.running_mean"], before["1.running_mean"])


def test_frozen_parameters_stay_inside():
    module = convolutional()
    module[0].requires_grad_(False)
    assert Network(module).names == ["1.weight", "1.bias", "4.weight", "4.bias"]
