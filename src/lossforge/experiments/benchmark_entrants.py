"""What a benchmark compares: search methods, losses and adaptive losses, by name or as objects."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lossforge.errors import unknown_name
from lossforge.experiments.arguments import begun_from_python
from lossforge.experiments.benchmark_cell import HANDCRAFTED_CELL, REFERENCES, Entrant
from lossforge.experiments.benchmark_settings import SCALED, Setting, scaled
from lossforge.experiments.search_settings import as_method
from lossforge.losses import HANDCRAFTED, Loss
from lossforge.losses.resolve import resolve_loss
from lossforge.losses.zoo import is_in_zoo
from lossforge.methods import METHODS, AdaLFL, State
from lossforge.methods.adaptive import is_adaptive
from lossforge.searching import Method
from lossforge.searching.options import flatten
from lossforge.specs import parse_spec
from lossforge.validation import require

MethodLike = str | Method[Any, Any] | Loss


def as_entrants(
    methods: MethodLike | Sequence[MethodLike] | Mapping[str, MethodLike], preset: str
) -> dict[str, Entrant]:
    """Return what is compared, by name.

    Args:
        methods: names with options, search methods or losses; or a mapping of names to them.
        preset: of methods given by name.

    Raises:
        UnknownNameError: there is none of that name, or none of its options.
        ConfigurationError: one is named twice, or as a reference.

    Examples:
        >>> list(as_entrants(["evomal", "focal:gamma=1"], "quick"))
        ['evomal', 'focal:gamma=1']
        >>> as_entrants("evomal:population=24", "quick")["evomal:population=24"].population
        24
    """
    if isinstance(methods, Mapping):
        found = {str(name): as_entrant(each, preset) for name, each in methods.items()}
    else:
        single = isinstance(methods, str | Method | Loss)
        given: Iterable[MethodLike] = [methods] if single else methods  # type: ignore[list-item,assignment]
        made = [(_entrant_name(each), as_entrant(each, preset)) for each in given]
        found = dict(made)
        require(len(found) == len(made), "a method is named twice; give a mapping of names")
    for name in (HANDCRAFTED_CELL, *REFERENCES):
        require(name not in found, f"{name} is in every benchmark; leave it out of the methods")
    return found


def as_entrant(method: MethodLike, preset: str) -> Entrant:
    """Return a search method, a loss, or the name of a loss that adapts."""
    if isinstance(method, Loss):
        return method
    if not isinstance(method, str):
        return as_method(method, preset)
    if is_adaptive(method):
        return method
    name = method.partition(":")[0]
    if name in HANDCRAFTED or is_in_zoo(method) or Path(method).exists():
        return resolve_loss(method)
    if name not in METHODS:
        raise unknown_name("method or loss", name, [*METHODS, *HANDCRAFTED, AdaLFL.name])
    _, options = parse_spec(method)
    made = METHODS[name].preset(preset)
    given = read_options(f"{k}={text}" for k, text in options.items())
    return made.with_options(**_as_known(given, flatten(made)))


def fitted(method: Method[Any, Any], setting: Setting) -> Method[Any, Any]:
    """Return a method with a setting's training of networks, search options and budget.

    What the method has no option for is left out.
    """
    known = flatten(method)
    wanted = {**known, **flatten(setting.base), **setting.search}
    wanted |= {k: scaled(wanted[k], setting.budget) for k in SCALED if k in known}
    return method.with_options(
        **_as_known({name: each for name, each in wanted.items() if name in known}, known)
    )


def _as_known(options: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with single values as tuples where the option holds several."""
    return {
        name: (each,)
        if isinstance(known.get(name), tuple) and not isinstance(each, tuple)
        else each
        for name, each in options.items()
    }


def search_options() -> set[str]:
    """Return the options that any search has."""
    return {option for method in METHODS.values() for option in flatten(method())}


def _entrant_name(method: MethodLike) -> str:
    return method.name if isinstance(method, Method) else str(method)


def restored_entrant(content: State | str, path: Path) -> Entrant:
    """Return a method, or the name of a loss that adapts, from what a configuration holds of it."""
    if isinstance(content, str):
        return content
    if content["name"] not in METHODS:
        raise begun_from_python(path, f"method {content['name']}")
    return METHODS[content["name"]].from_settings(content["settings"])


def read_options(words: Iterable[str]) -> dict[str, Any]:
    """Return search options that are written as text.

    Numbers are told by their form; which methods have the options is found out later.

    Raises:
        ConfigurationError: a word is not of the form NAME=VALUE.

    Examples:
        >>> read_options(["fitness_steps=300", "racing=false", "horizons=1/50"])
        {'fitness_steps': 300, 'racing': False, 'horizons': (1, 50)}
    """
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        require(bool(name and equals and text), f"{word!r} is no option; write NAME=VALUE")
        found[name.replace("-", "_")] = _value(text)
    return found


def _value(text: str) -> Any:
    if "/" in text:
        return tuple(_value(part) for part in text.split("/"))
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for read in (int, float):
        with suppress(ValueError):
            return read(text)
    return text
