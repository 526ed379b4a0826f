"""A method's composed hyper-parameters as options of the command line, a group for each part."""

import ast
import inspect
import textwrap
from dataclasses import field, fields, is_dataclass, make_dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, TypeVar

import tyro

from lossforge.searching import Method
from lossforge.searching.options import own_options

MethodT = TypeVar("MethodT", bound=Method[Any, Any])


@cache
def options_class(settings: Any) -> type:
    """Return a dataclass that tyro reads as a method's options, under their flat names.

    Args:
        settings: a method, or a dataclass that stands in one.
    """
    docs = field_docs(settings)
    own = {option.field: option for option in own_options(settings)}
    members: list[tuple[str, Any, Any]] = []
    for item in fields(settings):
        if item.name in own:
            option = own[item.name]
            note = tyro.conf.arg(
                name=_flag(option.name),
                aliases=[f"--{_flag(option.alias)}"] if option.alias else None,
                help=docs.get(item.name),
            )
            members.append((item.name, Annotated[option.kind, note], field()))
        else:
            kind: Any = type(item.default)
            part = options_class(kind)
            members.append((item.name, Annotated[part, tyro.conf.OmitArgPrefixes], field()))
    made = make_dataclass(settings.__name__, members)
    made.__doc__ = _summary(settings)
    return made


def to_options(settings: object) -> Any:
    """Return settings as an instance of their `options_class`."""
    values = {item.name: getattr(settings, item.name) for item in fields(settings)}  # type: ignore[arg-type]
    parts = {name: to_options(part) for name, part in values.items() if is_dataclass(part)}
    kind: Any = type(settings)
    return options_class(kind)(**values | parts)


def from_options(settings: MethodT, options: Any) -> MethodT:
    """Return a method with the hyper-parameters that were parsed.

    Args:
        settings: of the same method.
        options: an instance of its `options_class`.

    Raises:
        ConfigurationError: a value is out of its range.
    """
    return settings.with_options(**_flat(settings, options))


def _flat(settings: object, options: Any) -> dict[str, Any]:
    flat = {option.name: getattr(options, option.field) for option in own_options(type(settings))}
    for item in fields(settings):  # type: ignore[arg-type]
        if is_dataclass(part := getattr(settings, item.name)):
            flat |= _flat(part, getattr(options, item.name))
    return flat


def field_docs(settings: type) -> dict[str, str]:
    """Return the docstring that stands under each field of a dataclass and of its bases.

    Examples:
        >>> from lossforge.searching import BaseTraining
        >>> field_docs(BaseTraining)["nesterov"]
        'use Nesterov momentum'
    """
    docs: dict[str, str] = {}
    for base in (cls for cls in reversed(settings.__mro__) if is_dataclass(cls)):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for first, second in pairwise(definition.body):
            match first, second:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    docs[name] = " ".join(text.split())
    return docs


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _summary(settings: type) -> str:
    return (inspect.getdoc(settings) or "").partition("\n")[0]
