"""Copies of a person's network: initialized anew, or with its weights and parts frozen."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.models import FreshCopies, Pretrained, describe, initialize, resolve
from lossforge.tasks import load


def network() -> nn.Sequential:
    torch.manual_seed(9)
    return nn.Sequential(
        nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Sequential(nn.Linear(16, 3))
    )


class Scaled(nn.Module):
    """A layer that PyTorch cannot initialize anew."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(inputs * self.scale)


def test_a_network_is_accepted_and_its_copies_follow_from_the_seed():
    given = network()
    before = deepcopy(given.state_dict())
    factory = resolve(given, load("iris"))
    first, same, other = (initialize(factory, seed) for seed in (0, 0, 1))
    assert torch.equal(first[0].weight, same[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert not torch.equal(first[0].weight, given[0].weight)
    assert all(torch.equal(before[name], now) for name, now in given.state_dict().items())
    assert describe(given) == "torch.nn.modules.container.Sequential"


def test_copies_are_drawn_as_pytorch_constructs_them():
    layer = nn.Linear(30, 7)
    assert torch.equal(
        initialize(FreshCopies(layer), 3).weight, initialize(lambda: nn.Linear(30, 7), 3).weight
    )


def test_running_means_begin_anew():
    given = network()
    given.train()(torch.randn(64, 4) + 5)
    assert given[1].running_mean.abs().max() > 0
    assert initialize(FreshCopies(given), 0)[1].running_mean.abs().max() == 0


def test_frozen_layers_keep_their_weights():
    given = network()
    given[0].requires_grad_(False)
    copy = initialize(FreshCopies(given), 0)
    assert torch.equal(copy[0].weight, given[0].weight)
    assert not copy[0].weight.requires_grad
    assert not torch.equal(copy[3][0].weight, given[3][0].weight)


def test_a_layer_without_initialization_is_named_with_both_ways_out():
    with pytest.raises(ConfigurationError) as caught:
        resolve(Scaled(), load("iris"))
    message = str(caught.value)
    assert "layer Scaled has parameters and no reset_parameters" in message
    assert "Pretrained(network)" in message
    assert "\n" not in message
    assert resolve(Pretrained(Scaled()), load("iris"))().scale.requires_grad


def test_fine_tuning_freezes_and_resets_what_it_names():
    given = network()
    tuned = initialize(Pretrained(given, freeze=("0.*", "1.*"), reset=("3.*",)), 0)
    trained = [name for name, weight in tuned.named_parameters() if weight.requires_grad]
    assert trained == ["3.0.weight", "3.0.bias"]
    assert torch.equal(tuned[0].weight, given[0].weight)
    assert not torch.equal(tuned[3][0].weight, given[3][0].weight)
    assert given[0].weight.requires_grad


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"freeze": ("encoder.*",)}, "no parameter of the network fits 'encoder.*'; it has 0.w"),
        ({"reset": ("head",)}, "no layer of the network fits 'head'"),
        ({"freeze": ("*",)}, "leaves no parameter to train"),
        ({"freeze": "0.*"}, "must be a tuple of patterns"),
    ],
)
def test_mistakes_are_named(arguments, complaint: str):
    with pytest.raises(ConfigurationError) as caught:
        Pretrained(network(), **arguments)
    assert complaint in str(caught.value)


def test_frozen_weights_do_not_move_in_training():
    import lossforge as lf

    given = network()
    report = lf.train("iris", model=Pretrained(given, freeze=("0.*",)), steps=20, progress=False)
    assert torch.equal(report.network[0].weight, given[0].weight)
    assert not torch.equal(report.network[3][0].weight, given[3][0].weight)
