"""Residual blocks pass their input on."""

import pytest
import torch

from lossforge.models.residual import BasicBlock, PreActivationBlock, stages


def test_a_block_without_residue_is_the_identity():
    images = torch.rand(2, 4, 6, 6)
    before = PreActivationBlock(4, 4, 1)
    torch.nn.init.zeros_(before.second.weight)
    torch.testing.assert_close(before(images - 0.5), images - 0.5)
    after = BasicBlock(4, 4, 1)
    torch.nn.init.zeros_(after.second_norm.weight)
    torch.testing.assert_close(after(images), images)


@pytest.mark.parametrize("block", [BasicBlock, PreActivationBlock])
def test_every_stage_but_the_first_halves(block):
    network = torch.nn.Sequential(*stages(block, 3, [(4, 2), (6, 1), (8, 2)]))
    assert len(network) == 5
    assert network(torch.zeros(2, 3, 12, 9)).shape == (2, 8, 3, 3)
