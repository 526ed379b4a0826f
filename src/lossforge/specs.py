"""Names with options, such as ``mlp:width=256,depth=3``: how a person picks one of our parts.

The options of a part are the fields of its dataclass; nothing is listed twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar, get_type_hints

from lossforge.errors import ConfigurationError, unknown_name
from lossforge.validation import require

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")

BOOLEANS = {"true": True, "false": False}
READERS: dict[type, Callable[[str], object]] = {
    int: int,
    float: float,
    str: str,
    bool: lambda text: BOOLEANS[text.lower()],
}
EXPECTED = {int: "a whole number", float: "a number", bool: "true or false"}


def parse_spec(text: str) -> tuple[str, dict[str, str]]:
    """Split ``name`` or ``name:option=value,option=value`` into the name and its options.

    Raises:
        ConfigurationError: the name is empty, an option is not of that form or stands twice.

    Examples:
        >>> parse_spec("mlp:width=256,depth=3")
        ('mlp', {'width': '256', 'depth': '3'})
        >>> parse_spec("linear")
        ('linear', {})
    """
    name, colon, rest = (part.strip() for part in text.partition(":"))
    require(bool(name), f"{text!r} lacks a name; write NAME or NAME:OPTION=VALUE,...")
    options: dict[str, str] = {}
    for item in rest.split(",") if colon else ():
        option, equals, value = (part.strip() for part in item.partition("="))
        well_formed = bool(option and equals and value)
        require(well_formed, f"{item!r} in {text!r} is no option; write OPTION=VALUE")
        require(option not in options, f"option {option!r} stands twice in {text!r}")
        options[option] = value
    return name, options


def from_options(cls: type[Options], options: Mapping[str, str]) -> Options:
    """Build a dataclass of int, float, bool and str fields from options written as text.

    Raises:
        ConfigurationError: an option is unknown or its value is not of the field's type, or the
            class refuses the value.

    Examples:
        >>> from lossforge.models import MLP
        >>> from_options(MLP, {"width": "256"})
        MLP(width=256, depth=2)
        >>> from_options(MLP, {"widht": "256"})
        Traceback (most recent call last):
        ...
        lossforge.errors.ConfigurationError: no option of MLP is named 'widht'; ...
    """
    types = get_type_hints(cls)
    known = [field.name for field in fields(cls)]
    for option in options:
        require(bool(known), f"{cls.__name__} has no options; leave out {option!r}")
        if option not in known:
            raise ConfigurationError(str(unknown_name(f"option of {cls.__name__}", option, known)))
    return cls(**{option: _read(option, text, types[option]) for option, text in options.items()})


def to_spec(name: str, options: "DataclassInstance") -> str:
    """Write a name and its options so that `parse_spec` and `from_options` give them back.

    Examples:
        >>> from lossforge.models import MLP
        >>> to_spec("mlp", MLP(width=256))
        'mlp:width=256,depth=2'
    """
    pairs = [f"{field.name}={getattr(options, field.name)}" for field in fields(options)]
    return ":".join([name, ",".join(pairs)] if pairs else [name])


def _read(option: str, text: str, kind: type) -> object:
    try:
        return READERS[kind](text)
    except (KeyError, ValueError):
        raise ConfigurationError(f"{option} must be {EXPECTED[kind]}, not {text!r}") from None
