"""The functions of the language by name: those that come with it, and those that users add."""

import keyword
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from lossforge.errors import ConfigurationError
from lossforge.losses.expression.primitives.catalog import CATALOG
from lossforge.losses.expression.primitives.contract import require_sound
from lossforge.losses.expression.primitives.primitive import Primitive
from lossforge.validation import require

TERMINALS = ("y", "p", "1", "-1")

RESERVED = {"damp", "softplus", "one", "a", "b"}
"""Names that formulas and exported files give a meaning of their own."""

BUILT_IN = frozenset(CATALOG)
"""Names of the functions that come with lossforge."""

_primitives = dict(CATALOG)
_arity = dict.fromkeys(TERMINALS, 0) | {name: p.arity for name, p in CATALOG.items()}

PRIMITIVES: Mapping[str, Primitive] = MappingProxyType(_primitives)
"""All functions by name; a view that shows what is registered later."""

ARITY: Mapping[str, int] = MappingProxyType(_arity)
"""Number of arguments of every symbol, terminals included; a view likewise."""


def register_primitive(primitive: Primitive) -> None:
    """Add a function to the language: expressions, programs, formulas and exports know it.

    It holds for this process. Files of losses that use the function name it, and can be loaded
    where it is registered.

    Args:
        primitive: with a name of its own.

    Raises:
        ConfigurationError: the name is taken or not one, or a value or derivative is not finite,
            or a derivative is not that of the value.

    Examples:
        >>> import lossforge as lf
        >>> from lossforge.losses.expression import Primitive, by_autograd
        >>> mine = Primitive(name="log", arity=1, jet=by_autograd(lambda a: (a.abs() + 1).log()))
        >>> lf.register_primitive(mine)
        Traceback (most recent call last):
        ...
        lossforge.errors.ConfigurationError: a primitive named 'log' exists; choose another name
    """
    if _primitives.get(primitive.name) == primitive:
        return
    _require_free(primitive.name)
    require(primitive.arity in (1, 2), f"{primitive.name} must take 1 or 2 arguments")
    merge = primitive.merge
    if merge is not None and _arity.get(merge.kernel) != primitive.arity:
        raise ConfigurationError(f"{primitive.name} cannot be computed by {merge.kernel!r}")
    require_sound(primitive)
    _primitives[primitive.name] = primitive
    _arity[primitive.name] = primitive.arity


@contextmanager
def registered(primitive: Primitive) -> Iterator[Primitive]:
    """Register a function for the duration of a ``with`` block, as tests do.

    Examples:
        >>> from lossforge.losses.expression import Primitive, by_autograd, evaluate, parse
        >>> cube = Primitive(name="cube", arity=1, jet=by_autograd(lambda a: (a / 1e5) ** 3))
        >>> with registered(cube):
        ...     parse("cube(y - p)").nodes
        ('cube', 'sub', 'y', 'p')
    """
    register_primitive(primitive)
    try:
        yield primitive
    finally:
        del _primitives[primitive.name], _arity[primitive.name]


def _require_free(name: str) -> None:
    well_formed = name.isascii() and name.isidentifier() and not name.startswith("_")
    if not well_formed or keyword.iskeyword(name) or name in RESERVED or name in TERMINALS:
        raise ConfigurationError(
            f"a primitive cannot be named {name!r}; choose a word of letters, digits and "
            "underscores that has no other meaning"
        )
    if name in _primitives:
        raise ConfigurationError(f"a primitive named {name!r} exists; choose another name")
