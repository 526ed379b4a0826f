import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.models import GRU, LSTM


def words(lengths: list[int], length: int = 6) -> torch.Tensor:
    inputs = torch.zeros(len(lengths), length, 5)
    for row, count in enumerate(lengths):
        inputs[row, torch.arange(count), torch.arange(count) % 5] = 1
    return inputs


@pytest.mark.parametrize("family", [GRU(width=7), LSTM(width=7, layers=2)])
def test_padding_changes_nothing(family):
    torch.manual_seed(0)
    network = family.build((6, 5), 3)
    short = words([3, 6, 1])
    longer = torch.cat([short, torch.zeros(3, 4, 5)], dim=1)
    torch.testing.assert_close(network(short), network(longer))
    assert network(short).shape == (3, 3)
    assert network(torch.zeros(2, 6, 5)).isfinite().all()


@pytest.mark.parametrize(("family", "gates"), [(GRU(width=7), 3), (LSTM(width=7), 4)])
def test_parameters_are_those_of_the_formula(family, gates):
    network = family.build((6, 5), 3)
    count = sum(p.numel() for p in network.parameters())
    assert count == gates * (7 * 5 + 7 * 7 + 2 * 7) + 3 * 7 + 3


def test_rows_of_another_shape_are_refused():
    with pytest.raises(ConfigurationError, match="length, alphabet"):
        GRU().build((3, 32, 32), 10)
