"""The network that a training leaves behind, as a file and back."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from lossforge.errors import FileFormatError, RunError, one_line
from lossforge.models import FAMILIES, Factory, Model, initialize
from lossforge.models.factory import factory_of
from lossforge.runs.folder import MODEL
from lossforge.specs import from_options, parse_spec
from lossforge.tasks import Task

State = dict[str, Any]

MOST_VALUES = 10**8
"""of a row of inputs and of outputs, in a file that says which network it is of"""


def about_model(model: str, task: Task) -> State:
    """Return what `load_model` needs to construct a network again, besides its weights."""
    return {"model": model, "input_shape": list(task.input_shape), "outputs": task.outputs}


def load_model(run: str | Path, model: Model | None = None) -> nn.Module:
    """Return the network that ``lossforge train`` trained, with the weights that were tested.

    Args:
        run: folder of a complete training, or a ``model.safetensors`` file.
        model: the network, or the function that constructs it. Needed where the training had such
            an object; a network by name is constructed again.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        RunError: there is no trained network.
        FileFormatError: the file is damaged.
        ConfigurationError: the weights do not fit the network, or it cannot be constructed.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from lossforge import train
        >>> with TemporaryDirectory() as folder:
        ...     out = f"{folder}/run"
        ...     report = train("iris", model="linear", steps=20, out=out, progress=False)
        ...     network = load_model(out)
        >>> network(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """
    path = Path(run)
    path = path / MODEL if path.is_dir() else path
    if not path.is_file():
        raise RunError(f"{path} does not exist; give the folder of a complete `lossforge train`")
    about, weights = _read(path)
    factory = _factory(about, model, path)
    with _limited_weights(sum(each.numel() for each in weights.values()), path):
        network = initialize(factory, seed=0)
    _restore(network, weights, path)
    return network.eval()


@torch.no_grad()
def outputs_of(network: nn.Module, inputs: Tensor, rows: int = 1024) -> Tensor:
    """Return a network's outputs [N, ...] in evaluation mode, some rows at a time."""
    was_training = network.training
    network.eval()
    outputs = torch.cat([network(part) for part in inputs.split(rows)])
    network.train(was_training)
    return outputs


def _read(path: Path) -> tuple[State, dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["lossforge"])
            _require_description(about)
            return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise FileFormatError(
            f"{path} is damaged or was not written by `lossforge train` ({one_line(error)[:200]})"
        ) from None


def _require_description(about: Any) -> None:
    """Raise `ValueError` unless this tells a network as `lossforge train` does."""
    if not isinstance(about, dict):
        raise ValueError("its description is no JSON object")
    model, shape, outputs = (about[key] for key in ("model", "input_shape", "outputs"))
    sizes: list[Any] = [outputs, *shape] if isinstance(shape, list) else [None]
    are_sizes = all(type(size) is int and 0 < size <= MOST_VALUES for size in sizes)
    if not isinstance(model, str) or not are_sizes or math.prod(sizes) > MOST_VALUES:
        raise ValueError("its description names no network with inputs and outputs")


def _factory(about: Mapping[str, Any], model: Model | None, path: Path) -> Factory:
    if model is not None and not isinstance(model, str):
        return factory_of(model)
    name, options = parse_spec(about["model"]) if model is None else parse_spec(model)
    if name not in FAMILIES:
        raise RunError(
            f"{path} holds the weights of {about['model']}, which only its constructor can make "
            "again; pass model=, the network or a function that returns it"
        )
    family = from_options(FAMILIES[name], options)
    return partial(family.build, tuple(about["input_shape"]), about["outputs"])


@contextmanager
def _limited_weights(count: int, path: Path) -> Iterator[None]:
    """Let no network be constructed inside the block that has many more weights than a file.

    A file of a few bytes may name a network of any width. Most layers register their weights before
    memory is allocated for them.
    """
    left = 2 * count + 1000

    def register(module: nn.Module, name: str, weight: nn.Parameter) -> None:
        nonlocal left
        left -= 0 if is_lazy(weight) else weight.numel()
        if left < 0:
            raise FileFormatError(
                f"the weights of {path} are fewer than those of the network that it names; "
                "restore the file"
            )

    hook = register_module_parameter_registration_hook(register)
    try:
        yield
    finally:
        hook.remove()


def _restore(network: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise FileFormatError(
            f"the weights of {path} do not fit the network {type(network).__name__}: "
            f"{one_line(error)[:200]}"
        ) from None
