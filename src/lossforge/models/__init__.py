"""The networks: families by name and options, or any factory of `nn.Module`."""

from functools import partial
from inspect import isroutine

from torch import nn

from lossforge.errors import unknown_name
from lossforge.models.alexnet import AlexNet
from lossforge.models.allcnn import AllCNNC
from lossforge.models.conv4 import Conv4
from lossforge.models.factory import Factory, check_factory, factory_of, initialize
from lossforge.models.family import Family
from lossforge.models.instances import FreshCopies, Pretrained
from lossforge.models.lenet import LeNet5
from lossforge.models.libraries import from_library
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
    "FreshCopies",
    "LeNet5",
    "Linear",
    "Model",
    "PreActResNet18",
    "Pretrained",
    "PyramidNet",
    "ResNet18",
    "SqueezeNet",
    "WideResNet",
    "describe",
    "initialize",
    "names",
    "resolve",
]

Model = str | Family | Factory | nn.Module

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
        model: a family's name with options (``mlp:width=256``); a network of another library
            (``timm:resnet18``, ``torchvision:resnet18``, ``hf:PATH``; see `from_library`); a family
            (``MLP(width=256)``); a function without arguments that constructs a network; or a
            network, of which copies are initialized anew (see `FreshCopies`). To begin with a
            network's weights instead, pass ``Pretrained(network, freeze=...)``.
        task: what the network is for.

    Raises:
        UnknownNameError: no family has that name.
        ConfigurationError: an option is wrong, the network does not fit the task, or copies of it
            cannot be initialized.

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
    if isinstance(model, FreshCopies | Pretrained):
        return describe(model.network)
    named = model if isroutine(model) or isinstance(model, type) else type(model)
    return f"{named.__module__}.{named.__qualname__}"


def _factory(model: Model, task: Task) -> Factory:
    if isinstance(model, str):
        return from_library(model, task) or _built(_family(model), task)
    return _built(model, task) if isinstance(model, Family) else factory_of(model)


def _built(family: Family, task: Task) -> Factory:
    return partial(family.build, task.input_shape, task.outputs)


def _family(spec: str) -> Family:
    name, options = parse_spec(spec)
    if name not in FAMILIES:
        raise unknown_name("model", name, FAMILIES)
    return from_options(FAMILIES[name], options)
