"""Specs are read, checked and written without loss."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError
from lossforge.specs import from_options, parse_spec, to_spec


@dataclass(frozen=True)
class Options:
    width: int = 3
    rate: float = 0.5
    nested: bool = False
    style: str = "plain"


@dataclass(frozen=True)
class NoOptions:
    pass


def build(spec: str) -> Options:
    return from_options(Options, parse_spec(spec)[1])


@given(
    st.builds(
        Options,
        width=st.integers(),
        rate=st.floats(allow_nan=False),
        nested=st.booleans(),
        style=st.from_regex(r"[a-z]+", fullmatch=True),
    )
)
def test_written_options_are_read_back(options: Options):
    name, read = parse_spec(to_spec("part", options))
    assert name == "part"
    assert from_options(Options, read) == options


def test_left_out_options_keep_their_defaults():
    assert build("part:rate=2") == Options(rate=2.0)
    assert to_spec("part", NoOptions()) == "part"


def test_blanks_around_names_and_values_are_ignored():
    assert parse_spec(" part : width = 4 , nested = TRUE ") == (
        "part",
        {"width": "4", "nested": "TRUE"},
    )
    assert build("part: nested = TRUE").nested


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("", "lacks a name"),
        (":width=4", "lacks a name"),
        ("part:", "write OPTION=VALUE"),
        ("part:width", "'width' in 'part:width' is no option"),
        ("part:width=", "write OPTION=VALUE"),
        ("part:=4", "write OPTION=VALUE"),
        ("part:width=4,", "write OPTION=VALUE"),
        ("part:width=4,width=5", "'width' stands twice"),
        ("part:widht=4", "did you mean 'width'"),
        ("part:zzz=4", "known: nested, rate, style, width"),
        ("part:width=4.5", "width must be a whole number, not '4.5'"),
        ("part:rate=fast", "rate must be a number, not 'fast'"),
        ("part:nested=perhaps", "nested must be true or false, not 'perhaps'"),
    ],
)
def test_bad_specs_name_culprit_and_remedy(spec: str, complaint: str):
    with pytest.raises(ConfigurationError) as caught:
        build(spec)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_of_a_part_without_any_are_refused():
    with pytest.raises(ConfigurationError, match="NoOptions has no options; leave out 'width'"):
        from_options(NoOptions, {"width": "4"})
