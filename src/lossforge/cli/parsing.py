"""Options from dataclasses, and errors of the command line as one line."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from itertools import pairwise, takewhile
from typing import Any, NoReturn, TypeVar, get_type_hints

import tyro

from lossforge.errors import ConfigurationError

Options = TypeVar("Options")

WITHOUT_PREFIX = tyro.conf.OmitArgPrefixes[int].__metadata__  # type: ignore[attr-defined]
SIDES = "│| "
"""what stands left and right of the text of a panel"""


def parse_options(
    kind: type[Options], words: Sequence[str], program: str, *, default: Options | None = None
) -> Options:
    """Read a dataclass from the words of a command line.

    Args:
        kind: the dataclass; its fields are the options, their docstrings the help.
        words: after the command.
        program: the command as the user writes it, for help.
        default: where options take their defaults from; the class's own where None.

    Raises:
        ConfigurationError: an option is unknown, missing or of a wrong type.
        SystemExit: with status 0, after help was printed.
    """
    given: dict[str, Any] = {} if default is None else {"default": default}
    panel = io.StringIO()
    with contextlib.redirect_stderr(panel):
        try:
            options, unknown = tyro.cli(
                kind, args=list(words), prog=program, return_unknown_args=True, **given
            )
        except SystemExit as stop:
            if stop.code in (0, None):
                raise
            options, unknown = None, []
    if options is None:
        missing = [flag for flag in _required(kind, default) if not _is_given(flag, words)]
        if missing:
            _refuse_missing(missing, words, program)
        _refuse(_first_paragraph(panel.getvalue()), program)
    if unknown:
        _refuse_unknown(unknown, options, program)
    read: Options = options
    return read


def word_after(option: str, words: Sequence[str]) -> str | None:
    """Return an option's value before the options are parsed, None where it is not given.

    Examples:
        >>> word_after("--preset", ["--seed", "1", "--preset", "paper"])
        'paper'
        >>> word_after("--preset", ["--preset=quick"])
        'quick'
    """
    for word, following in pairwise([*words, ""]):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word.removeprefix(f"{option}=")
    return None


def flags(options: Any, prefix: str = "") -> Iterator[str]:
    """Yield the options of a parsed dataclass as a user writes them.

    Examples:
        >>> from lossforge.training.full import Recipe
        >>> list(flags(Recipe()))[:2]
        ['--steps', '--optimizer']
    """
    hints = get_type_hints(type(options), include_extras=True)
    for item in fields(options):
        value, notes = getattr(options, item.name), getattr(hints[item.name], "__metadata__", ())
        # An option may be called other than its field.
        names = [note.name for note in notes if getattr(note, "name", None)]
        name = names[0] if names else item.name.replace("_", "-")
        if is_dataclass(value):
            inside = prefix if set(WITHOUT_PREFIX) & set(notes) else f"{prefix}{name}."
            yield from flags(value, inside)
        else:
            yield f"--{prefix}{name}"


def _required(kind: Any, default: object) -> list[str]:
    """Return the options that have no default."""
    if default is not None:
        named = {item.name: getattr(default, item.name) for item in fields(default)}  # type: ignore[arg-type]
        names = [name for name, value in named.items() if value is tyro.MISSING]
    else:
        positional = tyro.conf.Positional[int].__metadata__  # type: ignore[attr-defined]
        hints = get_type_hints(kind, include_extras=True)
        names = [
            item.name
            for item in fields(kind)
            if item.default is MISSING
            and item.default_factory is MISSING
            and not set(positional) & set(getattr(hints[item.name], "__metadata__", ()))
        ]
    return [f"--{name.replace('_', '-')}" for name in names]


def _is_given(flag: str, words: Sequence[str]) -> bool:
    return any(word == flag or word.startswith(f"{flag}=") for word in words)


def _refuse_missing(missing: Sequence[str], words: Sequence[str], program: str) -> NoReturn:
    text = f"an option is missing: {', '.join(missing)}"
    for word in words:
        if word.startswith("--") and (near := get_close_matches(word, missing, n=1)):
            text = f"no option is named {word}; did you mean {near[0]}?"
    _refuse(text, program)


def _refuse_unknown(unknown: Sequence[str], options: object, program: str) -> NoReturn:
    wrong = [word.partition("=")[0] for word in unknown if word.startswith("-")]
    if not wrong:
        _refuse(f"{unknown[0]!r} belongs to no option; remove it", program)
    near = get_close_matches(wrong[0], list(flags(options)), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    _refuse(f"no option is named {wrong[0]}{hint}", program)


def _refuse(text: str, program: str) -> NoReturn:
    raise ConfigurationError(f"{text.rstrip('.')}; see {program} --help")


def _first_paragraph(panel: str) -> str:
    r"""Return what tyro says in its panel: the first lines inside the frame, up to a rule.

    Examples:
        >>> _first_paragraph("╭─ Title ─╮\n│ Error parsing │\n│ --steps │\n│ ─── │\n│ more │")
        'error parsing --steps'
    """
    inside = [line.strip(SIDES) for line in panel.splitlines()[1:]]
    if inside and _is_rule(inside[0]):
        # Where the output knows no frames, the title stands over a rule.
        inside = inside[1:]
    text = " ".join(takewhile(lambda line: not _is_rule(line), inside))
    return (text[:1].lower() + text[1:]) if text else "the options cannot be read"


def _is_rule(line: str) -> bool:
    return not line.strip("─-╰╯+")
