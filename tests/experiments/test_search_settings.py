"""The settings of a search: its method by name or as an object, and whose a setting is."""

import pytest

from lossforge.errors import ConfigurationError, UnknownNameError
from lossforge.experiments import Comparison
from lossforge.experiments.search_settings import as_method, with_own_settings
from lossforge.methods import METHODS, EvoMAL


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_a_name_takes_its_preset_and_an_object_stays(name, preset):
    assert as_method(name, preset) == METHODS[name].preset(preset)
    given = METHODS[name]()
    assert as_method(given, preset) is given


@pytest.mark.parametrize(
    ("method", "error", "says"),
    [
        ("evomall", UnknownNameError, "did you mean 'evomal'"),
        (3, ConfigurationError, "int"),
        (EvoMAL, ConfigurationError, "EvoMAL"),
    ],
)
def test_what_is_no_method_is_told(method, error, says):
    with pytest.raises(error, match=says):
        as_method(method, "quick")


def test_a_part_takes_the_settings_that_are_its_own():
    settings = {"compare_seeds": 2, "population": 8}
    made, rest = with_own_settings(Comparison(), Comparison, settings)
    assert made.compare_seeds == 2
    assert rest == {"population": 8}


def test_a_part_of_another_type_is_told():
    with pytest.raises(ConfigurationError, match="comparison must be a Comparison"):
        with_own_settings(3, Comparison, {})
