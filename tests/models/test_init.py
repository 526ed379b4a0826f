"""Every family fits a task and is picked by name, options or instance; misfits are told."""

from functools import partial

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError, UnknownNameError
from lossforge.models import (
    GRU,
    LSTM,
    MLP,
    Family,
    LeNet5,
    Linear,
    describe,
    initialize,
    names,
    resolve,
)
from lossforge.tasks import Split, Task, load


def toy(*shape: int) -> Task:
    """Two classes of inputs of a shape."""
    inputs = torch.randn(8, *shape, generator=torch.Generator().manual_seed(0))
    parts = (Split(inputs, torch.arange(8) % 2, torch.arange(8 * i, 8 * i + 8)) for i in range(3))
    return Task("toy", "classification", 2, *parts)


def suited(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape that the family takes: recurrent networks read sequences."""
    return shape[1:] if name in ("gru", "lstm") else shape


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 20)])
def test_families_give_outputs_with_gradients(name: str, shape: tuple[int, ...]):
    task = toy(*suited(name, shape))
    network = initialize(resolve(name, task), seed=0)
    outputs = network(task.train.inputs)
    assert outputs.shape == (8, 2)
    outputs.square().sum().backward()
    assert all(parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize("name", names())
def test_families_are_named_once_and_described_by_their_spec(name: str):
    task = toy(*suited(name, (1, 28, 28)))
    families = (Linear(), MLP(), LeNet5(), GRU(), LSTM())
    (family,) = (family for family in families if family.name == name)
    assert isinstance(family, Family)
    assert family.name == name
    by_name, by_instance, by_spec = (
        initialize(resolve(model, task), seed=0).state_dict()
        for model in (name, family, describe(family))
    )
    for weight in by_name:
        assert torch.equal(by_name[weight], by_instance[weight])
        assert torch.equal(by_name[weight], by_spec[weight])


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
        (nn.Linear(4, 3), "the model is a Linear; pass a name, or a function"),
        (None, "the model is a NoneType; pass a name"),
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
