"""The command that begins a run again: what a shell reads of it is what was given."""

import shlex

from hypothesis import given
from hypothesis import strategies as st

from lossforge.experiments.repeating import repeat_command

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1)


@given(TEXT, st.lists(TEXT, min_size=1, max_size=3))
def test_a_shell_reads_the_same_words(task, losses):
    command = repeat_command(["compare"], {"task": task, "losses": tuple(losses)}, {})
    assert shlex.split(command) == [
        *("lossforge", "compare", "--task", task, "--losses"),
        *losses,
    ]


def test_what_is_by_default_or_none_is_left_out():
    options = {"seed": 0, "out": None, "steps": 5, "factors": (1, 2)}
    defaults = {"seed": 0, "steps": 9, "factors": [1, 2]}
    assert repeat_command(["train"], options, defaults) == "lossforge train --steps 5"


def test_truth_values_are_flags_that_can_be_turned_off():
    options = {"racing": False, "best_evaluation": True, "adalfl": {"average": False}}
    assert shlex.split(repeat_command([], options, {}))[1:] == [
        *("--no-racing", "--best-evaluation", "--adalfl.no-average"),
    ]


def test_nested_options_are_held_against_nested_defaults():
    assert repeat_command([], {"seed": 1}, {"seed": 0}) == "lossforge --seed 1"
    assert repeat_command([], {"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}) == "lossforge --a.c 2"
