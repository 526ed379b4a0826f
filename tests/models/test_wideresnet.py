import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.models import WideResNet


def test_depth_counts_convolutions_and_the_dense_layer():
    network = WideResNet(depth=16, widen=1).build((3, 8, 8), 4)
    kernels = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert sum(m.kernel_size == (3, 3) for m in kernels) + 1 + 2 == 16
    assert sum(m.kernel_size == (1, 1) for m in kernels) == 2


@pytest.mark.parametrize("options", [{"depth": 17}, {"depth": 4}, {"widen": 0}, {"dropout": 1.0}])
def test_options_out_of_range_are_told(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        WideResNet(**options)
