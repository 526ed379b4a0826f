"""Hyper-parameters of a method: presets, changes, and the configuration of a saved run."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError, FileFormatError, UnknownNameError
from lossforge.methods import METHODS
from lossforge.methods.evomal import EvoMAL
from lossforge.searching.method import LATER
from lossforge.tasks import load

each = pytest.mark.parametrize("name", METHODS)
TINY: dict[str, Any] = {"population": 3, "generations": 2, "meta_steps": 2, "filter_steps": 10}
TINY |= {"fitness_steps": 10}


@each
def test_every_preset_changes_options_of_the_method_alone(name):
    kind = METHODS[name]
    for preset, changes in kind.presets.items():
        settings = kind.preset(preset).settings()
        assert settings == kind().settings() | {k: settings[k] for k in changes}
    with pytest.raises(UnknownNameError, match=f"no preset of {name} is named 'fast'"):
        kind.preset("fast")


@given(st.integers(2, 99), st.integers(1, 99), st.floats(0.001, 1))
def test_options_reach_their_part_and_nothing_else(population, steps, rate):
    changed = EvoMAL().with_options(population=population, meta_steps=steps, learning_rate=rate)
    assert changed.population == population
    assert changed.tuning.steps == steps
    assert changed.base.learning_rate == rate
    names = {"population", "meta_steps", "learning_rate"}
    before, after = EvoMAL().settings(), changed.settings()
    assert {k: v for k, v in after.items() if k not in names} == {
        k: v for k, v in before.items() if k not in names
    }
    assert EvoMAL.from_settings(after) == changed


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"populatoin": 3}, UnknownNameError), ({"population": 1}, ConfigurationError)],
)
def test_wrong_options_are_told(changes, error):
    with pytest.raises(error, match="population"):
        EvoMAL().with_options(**changes)


def test_only_later_options_may_be_missing_from_saved_settings():
    settings = EvoMAL().settings()
    for name in settings:
        fewer = {k: v for k, v in settings.items() if k != name}
        if name in LATER:
            assert EvoMAL.from_settings(fewer) == EvoMAL()
        else:
            with pytest.raises(FileFormatError, match="not those of evomal"):
                EvoMAL.from_settings(fewer)
    with pytest.raises(FileFormatError):
        EvoMAL.from_settings(settings | {"unknown": 1})


def test_progress_is_shown_unless_told_not_to(capsys, memory):
    method, task = EvoMAL().with_options(**TINY), load("iris")
    shown = method.run(task, "linear", 1)
    assert "evomal on iris with linear, seed 1" in " ".join(capsys.readouterr().err.split())
    silent = method.run(task, "linear", 1, progress=False)
    kept = method.run(task, "linear", 1, journal=(journal := memory()))
    assert capsys.readouterr().err == ""
    assert str(shown.loss) == str(silent.loss) == str(kept.loss)
    assert len(journal.checkpoints) == method.rounds
