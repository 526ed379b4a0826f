from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError, UnknownNameError
from lossforge.methods import METHODS
from lossforge.searching.options import OptionName, flatten, own_options, with_options


@dataclass(frozen=True)
class Part:
    steps: Annotated[int, OptionName("part_steps")] = 3
    rate: float = 0.5


@dataclass(frozen=True)
class Whole:
    steps: int = 7
    part: Part = Part()

    def __post_init__(self) -> None:
        if self.part.steps > self.steps:
            raise ConfigurationError("part_steps must not be above steps")


def test_parts_are_flat_under_their_own_names():
    assert flatten(Whole()) == {"steps": 7, "part_steps": 3, "rate": 0.5}
    assert [(option.field, option.name) for option in own_options(Part)] == [
        ("steps", "part_steps"),
        ("rate", "rate"),
    ]


@given(st.integers(0, 20), st.integers(0, 20), st.floats(0, 1))
def test_flat_options_and_composed_settings_are_one(steps, part_steps, rate):
    changes = {"steps": steps, "part_steps": part_steps, "rate": rate}
    if part_steps > steps:
        with pytest.raises(ConfigurationError):
            with_options(Whole(), changes, "whole")
        return
    changed = with_options(Whole(), changes, "whole")
    assert changed == Whole(steps, Part(part_steps, rate))
    assert flatten(changed) == changes


def test_whole_and_part_may_change_together_where_neither_may_alone():
    assert with_options(Whole(), {"steps": 9, "part_steps": 8}, "whole").part.steps == 8
    with pytest.raises(ConfigurationError):
        with_options(Whole(), {"part_steps": 8}, "whole")


def test_an_unknown_option_is_named():
    with pytest.raises(UnknownNameError, match="did you mean 'part_steps'"):
        with_options(Whole(), {"parts_steps": 8}, "whole")


def names(settings: Any) -> list[str]:
    parts = [getattr(settings, name) for name in vars(settings)]
    own = [option.name for option in own_options(type(settings))]
    return own + [n for part in parts if hasattr(part, "__dataclass_fields__") for n in names(part)]


@pytest.mark.parametrize("name", METHODS)
def test_no_two_options_of_a_method_share_a_name(name):
    found = names(METHODS[name]())
    assert len(found) == len(set(found)) == len(METHODS[name]().settings())
