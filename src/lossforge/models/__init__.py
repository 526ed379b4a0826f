"""The networks: families by name and options, or any factory of `nn.Module`."""

from functools import partial
from inspect import isroutine

from torch import nn

from lossforge.errors import ConfigurationError, unknown_name
from lossforge.models.alexnet import AlexNet
from lossforge.models.allcnn import AllCNNC
from lossforge.models.conv4 import Conv4
from lossforge.models.factory import Factory, check_factory, initialize
from lossforge.models.family import Family
from lossforge.models.lenet import LeNet5
from lossforge.models.linear import Linear
from lossforge.models.mlp import MLP
from lossforge.models.pyramidnet import PyramidNet
from lossforge.models.recurrent import GRU, LSTM
from lossforge.models.resnet import PreActResNet18, ResNet18
from lossforge.models.squeezenet import SqueezeNet
from lossforge.models.vgg import VGG16
from lossforge.models.wideresnet import WideResNet
from lossforge.specs import from_options, parse_spec, to_spec
from lossforge.tasks import Task

__all__ = [
    "GRU",
    "LSTM",
    "MLP",
    "VGG16",
    "AlexNet",
    "AllCNNC",
    "Conv4",
    "Factory",
    "Family",
    "LeNet5",
    "Linear",
    "Model",
    "PreActResNet18",
    "PyramidNet",
    "ResNet18",
    "SqueezeNet",
    "WideResNet",
    "describe",
    "initialize",
    "names",
    "resolve",
]

Model = str | Family | Factory

FAMILIES: dict[str, type[Family]] = {
    family.name: family
    for family in (
        *(Linear, MLP, LeNet5, AlexNet, VGG16, AllCNNC, Conv4),
        *(ResNet18, PreActResNet18, WideResNet, SqueezeNet, PyramidNet, GRU, LSTM),
    )
}


def names() -> tuple[str, ...]:
    """Return the names of the families."""
    return tuple(FAMILIES)


def resolve(model: Model, task: Task) -> Factory:
    """Return a factory of fresh networks for a task, tried on a few of its training rows.

    Args:
        model: a family's name with options (``mlp:width=256``), a family (``MLP(width=256)``), or
            a function without arguments that constructs a network.
        task: what the network is for.

    Raises:
        UnknownNameError: no family has that name.
        ConfigurationError: the model is a network itself, an option is wrong, or the network
            does not fit the task.

    Examples:
        >>> from lossforge.tasks import load
        >>> factory = resolve("mlp:width=16,depth=1", load("wine"))
        >>> factory()[1]
        Linear(in_features=13, out_features=16, bias=True)
    """
    factory = _factory(model, task)
    check_factory(factory, task)
    return factory


def describe(model: Model) -> str:
    """Return what a run's result calls a model by: its spec, or the factory's qualified name.

    Examples:
        >>> describe(MLP(width=256))
        'mlp:width=256,depth=2'
        >>> from torch import nn
        >>> describe(nn.Identity)
        'torch.nn.modules.linear.Identity'
    """
    if isinstance(model, str):
        return model
    if isinstance(model, Family):
        return to_spec(model.name, model)
    if isinstance(model, partial):
        return describe(model.func)
    named = model if isroutine(model) or isinstance(model, type) else type(model)
    return f"{named.__module__}.{named.__qualname__}"


def _factory(model: Model, task: Task) -> Factory:
    if isinstance(model, nn.Module) or not (isinstance(model, str | Family) or callable(model)):
        raise ConfigurationError(
            f"the model is a {type(model).__name__}; pass a name, or a function that constructs "
            "a network, for each candidate needs a fresh one"
        )
    if isinstance(model, str):
        model = _family(model)
    if isinstance(model, Family):
        return partial(model.build, task.input_shape, task.outputs)
    return model


def _family(spec: str) -> Family:
    name, options = parse_spec(spec)
    if name not in FAMILIES:
        raise unknown_name("model", name, FAMILIES)
    return from_options(FAMILIES[name], options)
