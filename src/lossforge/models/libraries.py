"""Networks of other libraries by name: ``timm:resnet18``, ``torchvision:resnet18``, ``hf:PATH``."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any, Literal, final, get_args

import torch
from torch import Tensor, nn

from lossforge.errors import ConfigurationError, LossforgeError, one_line, unknown_name
from lossforge.extras import require_extra, require_package
from lossforge.models.instances import Pretrained
from lossforge.specs import from_options, parse_spec
from lossforge.tasks import Task
from lossforge.validation import require

Factory = Callable[[], nn.Module]

Head = Literal["auto", "sequence", "token", "image", "causal"]

HEADS = {
    "sequence": "AutoModelForSequenceClassification",
    "token": "AutoModelForTokenClassification",
    "image": "AutoModelForImageClassification",
    "causal": "AutoModelForCausalLM",
}
"""class of `transformers` that puts each head on a network"""


@final
@dataclass(frozen=True)
class LibraryOptions:
    """What may stand after the name of a network of a library, as ``OPTION=VALUE``.

    Attributes:
        pretrained: begin with the weights that the library has; else draw new ones.
        freeze: parameters that are not trained, by name, with ``*`` for any characters.
        head: of a network of `transformers`; "auto" follows from the task's inputs and targets.
    """

    pretrained: bool = False
    freeze: str = ""
    head: str = "auto"

    def __post_init__(self) -> None:
        if self.head not in get_args(Head):
            raise unknown_name("head", self.head, get_args(Head))
        require(self.pretrained or not self.freeze, "freeze needs pretrained=true")


def from_library(spec: str, task: Task) -> Factory | None:
    """Return a factory of the network that `spec` names, None where it names no library.

    Args:
        spec: ``timm:NAME``, ``torchvision:NAME`` or ``hf:PATH``, and options after commas:
            ``timm:resnet18,pretrained=true,freeze=layer1.*``. Networks of `transformers` are read
            from a folder or the local cache and begin with their weights unless
            ``pretrained=false``.
        task: decides how many outputs there are, and of which shape the inputs.

    Raises:
        ConfigurationError: the library does not have the network, or it does not fit.
        MissingPackageError: the library is not installed.
    """
    library, _, rest = spec.partition(":")
    if library not in LIBRARIES:
        return None
    name, comma, tail = rest.partition(",")
    require(bool(name.strip()), f"{spec!r} lacks the network's name; write {library}:NAME")
    default = LibraryOptions(pretrained=library == "hf")
    options = default
    if comma:
        _, texts = parse_spec(f"{library}:{tail}")
        if library == "hf":
            texts.setdefault("pretrained", "true")
        options = from_options(LibraryOptions, texts)
    try:
        return LIBRARIES[library](name.strip(), options, task)
    except LossforgeError:
        raise
    except Exception as error:  # libraries raise many kinds for an unknown name or option
        reason = one_line(error)[:200]
        raise ConfigurationError(f"{library} cannot make the network {name!r}: {reason}") from None


def _from_timm(name: str, options: LibraryOptions, task: Task) -> Factory:
    require_package("timm", f"network timm:{name}")
    create = partial(
        import_module("timm").create_model,
        name,
        num_classes=task.outputs,
        in_chans=task.input_shape[0],
    )
    return _of(create, options)


def _from_torchvision(name: str, options: LibraryOptions, task: Task) -> Factory:
    require_package("torchvision", f"network torchvision:{name}")
    get_model = import_module("torchvision.models").get_model
    if not options.pretrained:
        return partial(get_model, name, weights=None, num_classes=task.outputs)
    network = get_model(name, weights="DEFAULT")
    _replace_head(network, task.outputs)
    return Pretrained(network, _patterns(options))


def _of(create: Callable[..., nn.Module], options: LibraryOptions) -> Factory:
    if not options.pretrained:
        return create
    return Pretrained(create(pretrained=True), _patterns(options))


def _patterns(options: LibraryOptions) -> tuple[str, ...]:
    return (options.freeze,) if options.freeze else ()


def _replace_head(network: nn.Module, outputs: int) -> None:
    """Give a network a new last linear layer where it has another number of outputs."""
    linear = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    require(bool(linear), "the network has no linear layer to replace as its head")
    parent, _, child = linear[-1].rpartition(".")
    last = network.get_submodule(linear[-1])
    if isinstance(last, nn.Linear) and last.out_features != outputs:
        head = nn.Linear(last.in_features, outputs)
        setattr(network.get_submodule(parent), child, head)


def _from_transformers(path: str, options: LibraryOptions, task: Task) -> Factory:
    require_extra("transformers", f"network hf:{path}")
    transformers: Any = import_module("transformers")
    head = _head_for(task) if options.head == "auto" else options.head
    auto = getattr(transformers, HEADS[head])
    sizes = {} if head == "causal" else {"num_labels": task.outputs}
    if not options.pretrained:
        config = transformers.AutoConfig.from_pretrained(path, **sizes)
        return partial(_constructed, auto, config, head)
    network = auto.from_pretrained(path, ignore_mismatched_sizes=True, **sizes)
    freeze = options.freeze and f"network.{options.freeze}"
    return Pretrained(LogitsOnly(network, head), _patterns(replace(options, freeze=freeze)))


def _constructed(auto: Any, config: Any, head: str) -> nn.Module:
    return LogitsOnly(auto.from_config(config), head)


def _head_for(task: Task) -> str:
    if task.train.inputs.is_floating_point():
        return "image"
    return "token" if task.train.targets.shape == task.train.inputs.shape else "sequence"


@final
class LogitsOnly(nn.Module):
    """A network of `transformers` called with one tensor, which returns its logits [B, C, ...].

    Padding, which is what equals the configuration's ``pad_token_id``, is masked out of attention.

    Args:
        network: gives an output with ``logits``.
        head: "image" takes pixel values; all others take token ids [B, T].
    """

    def __init__(self, network: nn.Module, head: str):
        super().__init__()
        self.network, self._head = network, head

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits, the classes in dimension 1."""
        if self._head == "image":
            logits: Tensor = self.network(pixel_values=inputs).logits
            return logits
        pad = getattr(self.network.config, "pad_token_id", None)
        mask = torch.ones_like(inputs) if pad is None else (inputs != pad).to(inputs.dtype)
        logits = self.network(input_ids=inputs, attention_mask=mask).logits
        return logits.movedim(-1, 1)


LIBRARIES: dict[str, Callable[[str, LibraryOptions, Task], Factory]] = {
    "timm": _from_timm,
    "torchvision": _from_torchvision,
    "hf": _from_transformers,
}
"""how each library makes a network, by the prefix of its names"""
