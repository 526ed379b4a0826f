"""Composed hyper-parameters as flat options, and back.

A method is a frozen dataclass of frozen dataclasses. The command line and a run's saved
configuration list all of its fields side by side: there each goes by its own name, or by the
`OptionName` that it is annotated with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Annotated, Any, NamedTuple, TypeVar, final, get_args, get_origin, get_type_hints

from lossforge.errors import ConfigurationError, unknown_name

Settings = TypeVar("Settings")


@final
@dataclass(frozen=True)
class OptionName:
    """The name of a field among all options of a method; write ``Annotated[int, OptionName("x")]``.

    Attributes:
        name: as a Python identifier; the command line writes hyphens for underscores.
        alias: another name on the command line.
    """

    name: str
    alias: str | None = None


class Option(NamedTuple):
    """A field of a composed dataclass that is not itself a dataclass.

    Attributes:
        field: its name in the dataclass.
        name: its name among all options.
        kind: its type.
        alias: another name on the command line.
    """

    field: str
    name: str
    kind: Any
    alias: str | None = None


def own_options(settings: type[Any]) -> tuple[Option, ...]:
    """Return the options of a dataclass, those of the dataclasses in it left out."""
    hints = get_type_hints(settings, include_extras=True)
    return tuple(
        _option(item.name, hints[item.name])
        for item in fields(settings)
        if not is_dataclass(hints[item.name])
    )


def _option(field: str, hint: Any) -> Option:
    if get_origin(hint) is not Annotated:
        return Option(field, field, hint)
    kind, *notes = get_args(hint)
    for note in notes:
        if isinstance(note, OptionName):
            return Option(field, note.name, kind, note.alias)
    return Option(field, field, kind)


def flatten(settings: object) -> dict[str, Any]:
    """Return all options of a composed dataclass by name.

    Examples:
        >>> from lossforge.searching import Fitness
        >>> flatten(Fitness(steps=20))["fitness_steps"]
        20
    """
    return dict(_flat(settings))


def _flat(settings: object) -> Iterator[tuple[str, Any]]:
    for option in own_options(type(settings)):
        yield option.name, getattr(settings, option.field)
    for part in _parts(settings).values():
        yield from _flat(part)


def with_options(settings: Settings, changes: Mapping[str, Any], owner: str) -> Settings:
    """Return composed settings with some options changed.

    Args:
        settings: a frozen dataclass, which may hold others.
        changes: options by name.
        owner: whose options they are, for errors.

    Raises:
        UnknownNameError: there is no such option.
        ConfigurationError: a value is out of its range or of a wrong type.
    """
    known = flatten(settings)
    for name in changes:
        if name not in known:
            raise unknown_name(f"option of {owner}", name, known)
    try:
        return _changed(settings, changes)
    except TypeError as error:
        raise ConfigurationError(f"an option of {owner} is of a wrong type: {error}") from None


def require_parts(settings: object) -> None:
    """Raise `ConfigurationError` unless the dataclasses that settings hold are of their classes."""
    for item in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, item.name)
        if is_dataclass(item.default) and not isinstance(value, type(item.default)):
            kind = type(item.default).__name__
            raise ConfigurationError(
                f"{item.name} must be of the class {kind}, not {value!r}; to change one "
                "hyper-parameter of it, use with_options"
            )


def _changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    own = {
        option.field: changes[option.name]
        for option in own_options(type(settings))
        if option.name in changes
    }
    parts = {name: _changed(part, changes) for name, part in _parts(settings).items()}
    # Together: checks may hold fields of the whole against those of its parts.
    changed: Settings = replace(settings, **own, **parts)  # type: ignore[type-var]
    return changed


def _parts(settings: object) -> dict[str, Any]:
    """Return the dataclasses that a dataclass holds, by field."""
    values = {item.name: getattr(settings, item.name) for item in fields(settings)}  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if is_dataclass(value)}
