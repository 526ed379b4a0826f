"""Options from dataclasses, and errors of the command line as one line."""

import contextlib
import io
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import tyro

from lossforge.errors import ConfigurationError

Options = TypeVar("Options")

RULE = re.compile(r"^[─-]{3,}")


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
    complaints = io.StringIO()
    with contextlib.redirect_stderr(complaints):
        try:
            if default is None:
                return tyro.cli(kind, args=list(words), prog=program)
            return tyro.cli(kind, args=list(words), prog=program, default=default)
        except SystemExit as stop:
            if stop.code in (0, None):
                raise
    raise ConfigurationError(f"{_in_one_line(complaints.getvalue())}; see {program} --help")


def _in_one_line(panel: str) -> str:
    """Return what tyro says in its panel: the lines up to the first rule, without the frame."""
    lines = [re.sub(r"^[│|]\s?|\s*[│|]$", "", line).strip() for line in panel.splitlines()]
    inside = [line for line in lines if line and not re.match(r"^[╭╰]", line)]
    if len(inside) > 1 and RULE.match(inside[1]):
        # Where the output is no terminal of box characters, the title stands over a rule.
        inside = inside[2:]
    if "Required options" in panel and "nrecognized" not in panel:
        missing = [line.split()[0] for line in inside if line.startswith("--")]
        return f"an option is missing: {', '.join(missing)}"
    until = next((i for i, line in enumerate(inside) if RULE.match(line)), len(inside))
    text = " ".join(inside[:until])
    suggested = re.findall(r"--[a-z][a-z0-9-]*", " ".join(inside[until:]))
    near = [option for option in suggested if option != "--help"]
    if "nrecognized" in text and near:
        text += f"; did you mean {near[0]}?"
    return (text[:1].lower() + text[1:]) if text else "the options cannot be read"


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
