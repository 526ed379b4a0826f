"""Every family fits a task and is picked by name, options or instance; misfits are told."""

from functools import partial

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError, UnknownNameError
from lossforge.models import MLP, Linear, describe, resolve
from lossforge.tasks import load


@pytest.mark.parametrize("task", ["digits", "diabetes"])
def test_options_reach_the_network(task: str):
    network = resolve("mlp:width=16,depth=3", load(task))()
    assert [layer.out_features for layer in network if isinstance(layer, nn.Linear)] == [
        *[16, 16, 16],
        load(task).outputs,
    ]


def test_a_users_factory_with_batch_norm_and_dropout_works():
    def factory() -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 10)
        )

    before = torch.get_rng_state()
    assert resolve(factory, load("digits")) is factory
    assert torch.equal(torch.get_rng_state(), before)


class Custom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(inputs)


class CallableFactory:
    def __call__(self) -> nn.Module:
        return Custom()


def test_models_are_described():
    assert describe("mlp:width=4") == "mlp:width=4"
    assert describe(MLP(width=4)) == "mlp:width=4,depth=2"
    assert describe(Linear()) == "linear"
    assert describe(Custom).endswith("Custom")
    assert describe(CallableFactory()).endswith("CallableFactory")
    assert describe(partial(nn.Linear, 4, 3)) == "torch.nn.modules.linear.Linear"


def test_a_class_without_arguments_is_a_factory():
    assert isinstance(resolve(Custom, load("iris"))(), Custom)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (nn.Linear(5, 3), "does not take inputs of shape [4, 4]"),
        (None, "the model is a NoneType; pass a name, a network, or a function"),
        ("mlp:width=0", "width must be at least 1, not 0"),
        ("mlp:depth=0", "depth must be at least 1, not 0"),
        ("mlp:widht=4", "did you mean 'width'"),
        ("linear:width=4", "Linear has no options"),
        ("lenet", "lenet takes images"),
    ],
)
def test_bad_models_name_culprit_and_remedy(model, complaint: str):
    with pytest.raises(ConfigurationError) as caught:
        resolve(model, load("iris"))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_models_are_told_with_the_nearest():
    with pytest.raises(UnknownNameError, match="no model is named 'lene'; did you mean 'lenet'"):
        resolve("lene", load("iris"))
