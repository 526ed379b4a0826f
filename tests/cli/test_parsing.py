"""Mistakes on the command line name the option, and say which was meant."""

from dataclasses import dataclass, field

import pytest
import tyro

from lossforge.cli.parsing import flags, parse_options
from lossforge.errors import ConfigurationError


@dataclass(frozen=True)
class Part:
    """A part."""

    rate: float = 0.5
    """a rate"""
    max_norm: float | None = None
    """a limit"""


@dataclass(frozen=True)
class Command:
    """A command."""

    own: tyro.conf.OmitArgPrefixes[Part]
    other: Part
    task: str
    """a task"""
    names: tuple[str, ...] = field(default=("a",))
    """names"""
    form: tyro.conf.FlagCreatePairsOff[bool] = False
    """a switch"""


DEFAULT = Command(Part(), Part(), task=tyro.MISSING)


def parse(*words: str) -> Command:
    return parse_options(Command, words, "lossforge command", default=DEFAULT)


def test_options_are_read():
    options = parse("--task", "t", "--rate", "2", "--other.rate=3", "--names", "b", "c", "--form")
    assert options == Command(Part(2.0), Part(3.0), "t", ("b", "c"), True)


def test_the_flags_are_those_that_help_shows(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    shown = capsys.readouterr().out
    found = list(flags(parse("--task", "t")))
    assert found == [
        *("--rate", "--max-norm", "--other.rate", "--other.max-norm"),
        *("--task", "--names", "--form"),
    ]
    assert all(f" {flag} " in shown for flag in found)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "an option is missing: --task"),
        (["--tsak", "t"], "no option is named --tsak; did you mean --task?"),
        (["--task", "t", "--jobs", "2"], "no option is named --jobs"),
        (["--task", "t", "--jobs=2"], "no option is named --jobs"),
        (["--task", "t", "--othr.rate", "2"], "did you mean --other.rate?"),
        (["--task", "t", "--rate", "high"], "--rate: could not convert string to float: 'high'"),
        (["--task", "t", "--rate"], "missing value for argument '--rate'"),
        (["--task", "t", "--form", "yes"], "'yes' belongs to no option"),
        (["--task", "t", "--max-norm", "x"], "--max-norm"),
    ],
)
def test_mistakes(words, says, capsys):
    with pytest.raises(ConfigurationError) as raised:
        parse(*words)
    text = str(raised.value)
    assert says in text
    assert text.endswith("; see lossforge command --help")
    assert not set(text) & set("│╭╰─\n")
    assert capsys.readouterr().err == ""
