"""Which strategy is chosen for which network, and what is said where a faster one fails."""

import warnings

import pytest
import torch
from torch import nn

from lossforge.training import SGD, Adam, Network
from lossforge.training.hypergradient import SlowPathWarning, Start, choose_strategy

DENSE = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
NORMED = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
IMAGES = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))


class Last(nn.Module):
    """A recurrent network, without forward mode."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(inputs)[0][:, -1])


def start(module: nn.Module, optimizer) -> Start:
    network = Network(module)
    theta = network.parameters()
    return Start(network, theta, optimizer, optimizer.init(theta))


@pytest.mark.parametrize(
    ("module", "optimizer", "shape", "expected"),
    [
        (DENSE, SGD(0.1), (4,), "low_rank"),
        (DENSE, SGD(0.1, momentum=0.9, nesterov=True), (4,), "low_rank"),
        (DENSE, Adam(0.1), (4,), "reverse"),
        (NORMED, SGD(0.1), (4,), "reverse"),
        (IMAGES, SGD(0.1), (1, 4, 4), "forward"),
    ],
)
def test_the_measured_best_is_chosen_in_silence(module, optimizer, shape, expected):
    inputs = torch.randn(8, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SlowPathWarning)
        assert choose_strategy(start(module, optimizer), inputs) == expected
    assert choose_strategy(start(module, optimizer), inputs, inner_steps=2) == "unroll"


def test_what_cannot_go_forward_goes_in_reverse():
    assert choose_strategy(start(Last(), SGD(0.1)), torch.randn(8, 5, 3)) == "reverse"


class Rounded(torch.autograd.Function):
    """An operator with a first derivative only."""

    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g


class Rounding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return Rounded.apply(self.layer(inputs))


def test_an_operator_without_either_is_named():
    from lossforge.errors import ConfigurationError

    with (
        pytest.warns(SlowPathWarning, match="does not support"),
        pytest.raises(ConfigurationError, match="replace the operator"),
    ):
        choose_strategy(start(Rounding(), SGD(0.1)), torch.randn(8, 4))
