"""The settings of a search: its method, closing comparison and calibration, by preset."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from lossforge.errors import ConfigurationError, unknown_name
from lossforge.experiments.arguments import with_settings
from lossforge.experiments.comparison import Comparison
from lossforge.experiments.paper import search_options
from lossforge.methods import METHODS
from lossforge.searching import Calibration, Method
from lossforge.searching.options import flatten

COMPARISONS = {"quick": Comparison(compare_steps=400), "paper": Comparison()}

CALIBRATIONS = {
    "quick": Calibration(rival_steps=100, rival_seeds=1, rival_runs=2),
    "paper": Calibration(rival_steps=2000),
}

SettingsT = TypeVar("SettingsT", Comparison, Calibration)


def as_method(method: object, preset: str, task: str = "") -> Method[Any, Any]:
    """Return a search method by name, with a preset's hyper-parameters, or one that is given.

    Args:
        method: a name, or a method.
        preset: of a method that is given by name.
        task: name of the data set, on which a preset may differ.

    Raises:
        UnknownNameError: there is none of that name.
        ConfigurationError: it is no search method.

    Examples:
        >>> as_method("evomal", "quick").rounds
        6
    """
    if isinstance(method, Method):
        return method
    if isinstance(method, type) and issubclass(method, Method):
        raise ConfigurationError(
            f"the method is the class {method.__name__}; give an instance: "
            f'{method.__name__}.preset("quick")'
        )
    if not isinstance(method, str):
        raise ConfigurationError(
            f"the method is a {type(method).__name__}; give a name, such as "
            '"evomal", or a search method'
        )
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    made = METHODS[method].preset(preset)
    return made.with_options(**search_options(preset, task, flatten(made)))


def with_own_settings(
    given: SettingsT, kind: type[SettingsT], settings: Mapping[str, Any]
) -> tuple[SettingsT, dict[str, Any]]:
    """Return a dataclass with those of the settings that are its fields, and the other settings."""
    name = kind.__name__
    if not isinstance(given, kind):
        raise ConfigurationError(f"{name.lower()} must be a {name}, not {given!r}")
    own = {item.name for item in fields(kind)} & set(settings)
    made = with_settings(given, {key: settings[key] for key in own}, f"the {name.lower()}")
    return made, {key: value for key, value in settings.items() if key not in own}
