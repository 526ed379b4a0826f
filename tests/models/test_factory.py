"""Factories are tried before they are trusted."""

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.models.factory import check_factory, initialize
from lossforge.tasks import load


def small() -> nn.Module:
    return nn.Linear(4, 3)


def fail() -> nn.Module:
    raise ValueError("no\nluck")


def weights(seed: int) -> torch.Tensor:
    return initialize(small, seed).weight


def test_the_seed_decides_the_weights_and_global_generators_stay_untouched():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_fitting_factory_passes():
    check_factory(small, load("iris"))


@pytest.mark.parametrize(
    ("factory", "complaint"),
    [
        (lambda: "network", "factory gives a value of type str; it must return an nn.Module"),
        (nn.Linear, "the model's factory fails: Linear.__init__() missing 2 required"),
        (fail, "the model's factory fails: no luck"),
        (nn.Identity, "no parameters to train"),
        (lambda: nn.LazyLinear(3), "has lazy layers"),
        (lambda: nn.Linear(5, 3), "does not take inputs of shape [4, 4] and type torch.float32:"),
        (lambda: nn.Linear(4, 2), "outputs of shape [4, 2] for a batch of 4; task 'iris' needs [4"),
        (lambda: nn.GRU(4, 3), "gives a value of type tuple; it must return one tensor"),
    ],
)
def test_unfit_factories_name_culprit_and_remedy(factory, complaint: str):
    with pytest.raises(ConfigurationError) as caught:
        check_factory(factory, load("iris"))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_factories_that_share_weights_are_refused():
    body = nn.Linear(4, 8)
    for factory in (lambda: body, lambda: nn.Sequential(body, nn.Linear(8, 3))):
        with pytest.raises(ConfigurationError, match="returns the same weights at every call"):
            check_factory(factory, load("iris"))
