"""The command that begins a run again."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from lossforge.methods import State

DEFAULTS: State = {"model": "mlp", "seed": 0, "preset": "quick"}
"""of options that several commands share"""


def repeat_command(words: Sequence[str], options: State, defaults: State) -> str:
    """Return a command as it is typed into a shell, with the options that differ from defaults.

    Args:
        words: the command and what needs no flag.
        options: by name; nested ones are flags with a dot.
        defaults: of the same names; what is missing here is always written.

    Examples:
        >>> options = {"task": "iris", "seed": 0, "adalfl": {"average": True}, "factors": [0.1, 1]}
        >>> repeat_command(["train"], options, {"seed": 0, "adalfl": {"average": False}})
        'lossforge train --task iris --adalfl.average --factors 0.1 1'
    """
    given = ["lossforge", *words, *_flags(_plain(options), _plain(defaults), "")]
    return " ".join(shlex.quote(word) for word in given)


def _plain(options: State) -> State:
    """Return options as a configuration holds them: lists for tuples."""
    plain: State = json.loads(json.dumps(options))
    return plain


def _flags(options: State, defaults: State, prefix: str) -> list[str]:
    words: list[str] = []
    for name, value in options.items():
        if name in defaults and defaults[name] == value:
            continue
        flag = f"{prefix}{name.replace('_', '-')}"
        if isinstance(value, Mapping):
            words += _flags(dict(value), defaults.get(name, {}), f"{flag}.")
        elif isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--{_negated(flag)}")
        elif value is not None:
            words += [f"--{flag}", *_words(value)]
    return words


def _negated(flag: str) -> str:
    group, dot, name = flag.rpartition(".")
    return f"{group}{dot}no-{name}"


def _words(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
