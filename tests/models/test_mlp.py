"""The MLP has the layers that its options say."""

import pytest

from lossforge.errors import ConfigurationError
from lossforge.models import MLP


@pytest.mark.parametrize(
    ("options", "shape", "outputs", "parameters"),
    [
        # The paper's network on digits: 65,000 + 1,001,000 + 10,010.
        (MLP(), (1, 8, 8), 10, 1_076_010),
        # On MNIST.
        (MLP(), (1, 28, 28), 10, 1_796_010),
        (MLP(width=7, depth=1), (4,), 3, 7 * 5 + 3 * 8),
        (MLP(width=2, depth=4), (3,), 1, 2 * 4 + 3 * 2 * 3 + 3),
    ],
)
def test_parameter_counts(options: MLP, shape: tuple[int, ...], outputs: int, parameters: int):
    network = options.build(shape, outputs)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize("options", [{"width": 0}, {"depth": 0}, {"depth": -1}])
def test_options_out_of_range_are_refused(options: dict[str, int]):
    with pytest.raises(ConfigurationError, match="must be at least 1"):
        MLP(**options)
