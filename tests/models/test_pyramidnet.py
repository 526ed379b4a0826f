import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.models import PyramidNet


def test_blocks_widen_evenly_from_16_to_16_plus_alpha():
    network = PyramidNet(depth=20, alpha=18).build((3, 8, 8), 4)
    widths = [m.out_channels for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert widths[0] == 16
    assert widths[1::2] == widths[2::2] == [18, 20, 22, 24, 26, 28, 30, 32, 34]


@pytest.mark.parametrize("options", [{"depth": 18}, {"depth": 2}, {"alpha": 0}])
def test_options_out_of_range_are_told(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        PyramidNet(**options)
