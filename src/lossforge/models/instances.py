"""Factories made from a network that a person already has: copies, drawn anew or fine-tuned."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import final

from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.validation import require


@final
@dataclass(frozen=True, eq=False)
class FreshCopies:
    """A factory of networks that are built like a given one and initialized anew.

    Layers are initialized by their own ``reset_parameters``, as when PyTorch constructs them; a
    network of `transformers` is constructed from its configuration. Layers whose parameters are all
    frozen (``requires_grad=False``) keep their weights.

    Args:
        network: never changed itself.

    Raises:
        ConfigurationError: a layer has parameters and no ``reset_parameters``.

    Examples:
        >>> from lossforge.models import initialize
        >>> given = nn.Linear(4, 3)
        >>> copy = initialize(FreshCopies(given), seed=0)
        >>> copy.weight.shape == given.weight.shape, bool((copy.weight == given.weight).any())
        (True, False)
    """

    network: nn.Module

    def __post_init__(self) -> None:
        if not _has_own_initialization(self.network):
            _require_resettable(self.network)

    def __call__(self) -> nn.Module:
        """Return a network with new weights, drawn from torch's global generator."""
        if _has_own_initialization(self.network):
            return _constructed_again(self.network)
        fresh = deepcopy(self.network)
        _reset(fresh)
        return fresh


@final
@dataclass(frozen=True, eq=False)
class Pretrained:
    """A factory of networks that all begin with the weights of a given one, for fine-tuning.

    Args:
        network: never changed itself.
        freeze: names of parameters that stay as they are, with ``*`` for any characters, such as
            ``"encoder.*"``.
        reset: names of layers, likewise, that are initialized anew, such as a new head.

    Raises:
        ConfigurationError: a pattern fits no parameter or layer, nothing is left to train, or a
            layer that is to be initialized anew has no ``reset_parameters``.

    Examples:
        >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> tuned = Pretrained(network, freeze=("0.*",), reset=("2",))()
        >>> [name for name, weight in tuned.named_parameters() if weight.requires_grad]
        ['2.weight', '2.bias']
        >>> bool((tuned[0].weight == network[0].weight).all())
        True
    """

    network: nn.Module
    freeze: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parameters = [name for name, _ in self.network.named_parameters()]
        layers = [name for name, _ in self.network.named_modules() if name]
        _require_fits("freeze", self.freeze, parameters, "parameter")
        _require_fits("reset", self.reset, layers, "layer")
        left = [name for name in parameters if not _fits(name, self.freeze)]
        require(bool(left), f"freeze={self.freeze} leaves no parameter to train; freeze fewer")
        for layer in self._layers_to_reset(self.network):
            _require_resettable(layer)

    def __call__(self) -> nn.Module:
        """Return a copy; only the layers of `reset` draw from torch's global generator."""
        copy = deepcopy(self.network)
        for layer in self._layers_to_reset(copy):
            _reset(layer)
        for name, parameter in copy.named_parameters():
            if _fits(name, self.freeze):
                parameter.requires_grad_(False)
        return copy

    def _layers_to_reset(self, network: nn.Module) -> list[nn.Module]:
        return [layer for name, layer in network.named_modules() if _fits(name, self.reset)]


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _require_fits(field: str, patterns: tuple[str, ...], names: list[str], what: str) -> None:
    require(not isinstance(patterns, str), f"{field} must be a tuple of patterns, not one text")
    for pattern in patterns:
        require(
            any(fnmatchcase(name, pattern) for name in names),
            f"{field}: no {what} of the network fits {pattern!r}; it has {', '.join(names[:6])}"
            f"{', ...' if len(names) > 6 else ''}",
        )


def _owners(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers that hold parameters which are trained, with their names."""
    for name, layer in network.named_modules():
        own = list(layer.parameters(recurse=False))
        if own and any(parameter.requires_grad for parameter in own):
            yield name, layer


def _require_resettable(network: nn.Module) -> None:
    for name, layer in _owners(network):
        if not callable(getattr(layer, "reset_parameters", None)):
            where = f" ({name})" if name else ""
            raise ConfigurationError(
                f"layer {type(layer).__name__}{where} has parameters and no reset_parameters, so "
                "that copies of the network cannot be initialized anew; pass a function that "
                "constructs it, or lossforge.models.Pretrained(network) to begin with its weights"
            )


def _reset(network: nn.Module) -> None:
    for _, layer in _owners(network):
        layer.reset_parameters()  # type: ignore[operator]
    for layer in network.modules():
        # Running means belong to the weights that they were measured with.
        if callable(restart := getattr(layer, "reset_running_stats", None)) and _trains(layer):
            restart()


def _trains(layer: nn.Module) -> bool:
    own = list(layer.parameters(recurse=False))
    return not own or any(parameter.requires_grad for parameter in own)


def _has_own_initialization(network: nn.Module) -> bool:
    """Tell whether a network is one of `transformers`, which its configuration constructs."""
    frozen = any(not parameter.requires_grad for parameter in network.parameters())
    return hasattr(network, "config") and hasattr(network, "post_init") and not frozen


def _constructed_again(network: nn.Module) -> nn.Module:
    fresh: nn.Module = type(network)(deepcopy(network.config))
    return fresh
