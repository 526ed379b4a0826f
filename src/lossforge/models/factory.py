"""Fresh networks on demand: every candidate loss trains one of its own."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lossforge.errors import ConfigurationError, LossforgeError, one_line
from lossforge.models.calling import Inputs, call
from lossforge.models.instances import FreshCopies
from lossforge.randomness import isolated_seed
from lossforge.tasks import Task
from lossforge.validation import require

Factory = Callable[[], nn.Module]

PROBE_ROWS = 4


def initialize(factory: Factory, seed: int) -> nn.Module:
    """Return a network whose weights follow from `seed`; global generators stay untouched.

    Raises:
        ConfigurationError: the factory fails, or gives something else than a network.

    Examples:
        >>> from lossforge.models import MLP
        >>> network = initialize(lambda: MLP(width=8).build((4,), outputs=3), seed=0)
        >>> network[-1]
        Linear(in_features=8, out_features=3, bias=True)
    """
    try:
        with isolated_seed(seed):
            network = factory()
    except LossforgeError:
        raise
    except Exception as error:
        raise ConfigurationError(f"the model's factory fails: {one_line(error)}") from error
    require(
        isinstance(network, nn.Module),
        f"the model's factory gives {_type_of(network)}; it must return an nn.Module",
    )
    return network


def factory_of(model: object) -> Factory:
    """Return the factory that a person's object is or stands for.

    Args:
        model: a function without arguments that constructs a network, or a network, of which
            copies are then initialized anew.

    Raises:
        ConfigurationError: it is neither, or copies of it cannot be initialized.
    """
    if isinstance(model, nn.Module):
        return FreshCopies(model)
    if callable(model):
        return model
    raise ConfigurationError(
        f"the model is a {type(model).__name__}; pass a name, a network, or a function that "
        "constructs one"
    )


def check_factory(factory: Factory, task: Task) -> None:
    """Try a factory's networks on a few training rows, before anything is trained.

    Raises:
        ConfigurationError: networks share weights, have none or of unknown size, do not take the
            task's inputs, or give outputs of another shape than [rows, task.outputs].
    """
    network = initialize(factory, seed=0).to(task.device).eval()
    weights = list(network.parameters())
    require(bool(weights), "the network has no parameters to train")
    require(
        not any(is_lazy(weight) for weight in weights),
        "the network has lazy layers, which have no weights yet; give its layers their sizes",
    )
    _check_fresh(network, factory)
    rows = min(PROBE_ROWS, len(task.train))
    outputs = _probe(network, task.train.inputs[:rows])
    require(
        isinstance(outputs, Tensor),
        f"the network gives {_type_of(outputs)}; it must return one tensor of outputs",
    )
    needed = task.kind.output_shape(task.outputs, task.train.targets[:rows])
    require(
        outputs.shape == needed,
        f"the network gives outputs of shape {list(outputs.shape)} for a batch of {rows}; "
        f"task {task.name!r} needs {list(needed)}",
    )


def _check_fresh(network: nn.Module, factory: Factory) -> None:
    first = {id(weight) for weight in network.parameters()}
    shared = any(id(weight) in first for weight in initialize(factory, seed=0).parameters())
    require(
        not shared,
        "the model's factory returns the same weights at every call; construct a fresh network "
        "inside it",
    )


def _probe(network: nn.Module, inputs: Inputs) -> Tensor:
    try:
        with torch.no_grad(), isolated_seed(0):
            outputs: Tensor = call(network, inputs)
    except Exception as error:
        raise ConfigurationError(
            f"the network does not take inputs of {_described(inputs)}: {one_line(error)}"
        ) from error
    return outputs


def _described(inputs: Inputs) -> str:
    if isinstance(inputs, Tensor):
        return f"shape {list(inputs.shape)} and type {inputs.dtype}"
    if isinstance(inputs, Mapping):
        return ", ".join(f"{name}: {_described(each)}" for name, each in inputs.items())
    return ", ".join(_described(each) for each in inputs)


def _type_of(value: object) -> str:
    return f"a value of type {type(value).__name__}"
