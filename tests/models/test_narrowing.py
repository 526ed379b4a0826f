import pickle

import pytest
import torch
from torch import nn

from lossforge.models import MLP, initialize
from lossforge.models.narrowing import narrowed


def wide(width: int = 400) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(30, width), nn.Tanh(), nn.Dropout(0.5), nn.Linear(width, 4)
    )


@pytest.mark.parametrize("factory", [wide, lambda: MLP(width=400, depth=3).build((30,), 4)])
def test_hidden_layers_are_narrower_and_outputs_as_large(factory):
    narrow = narrowed(factory, 50)
    assert narrow is not None
    inputs = torch.randn(2000, 30, generator=torch.Generator().manual_seed(0))
    sizes = []
    for make in (factory, narrow):
        outputs = [initialize(make, seed).eval()(inputs) for seed in range(8)]
        sizes.append(float(torch.stack(outputs).detach().std()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.25)
    layers = [layer for layer in initialize(narrow, 0) if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in layers[:-1]] == [50] * (len(layers) - 1)
    assert layers[-1].out_features == 4


def test_weights_follow_from_the_seed_and_are_no_others():
    narrow = narrowed(wide, 50)
    assert narrow is not None
    first, again, other = (initialize(narrow, seed)[1].weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_factory_can_be_sent_to_another_process():
    narrow = narrowed(wide, 50)
    sent = pickle.loads(pickle.dumps(narrow))
    assert sent == narrow
    assert torch.equal(initialize(sent, 0)[1].weight, initialize(narrow, 0)[1].weight)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(400, 400)


@pytest.mark.parametrize(
    "factory",
    [
        lambda: wide(50),
        lambda: nn.Linear(30, 4),
        lambda: nn.Sequential(nn.Linear(30, 400), nn.BatchNorm1d(400), nn.Linear(400, 4)),
        Residual,
    ],
)
def test_other_networks_have_no_narrower_ones(factory):
    assert narrowed(factory, 50) is None
