"""The settings of a training: a preset's, or one's own, with what differs."""

import pytest

from lossforge.errors import LossforgeError, UnknownNameError
from lossforge.experiments.train_settings import (
    PRESETS,
    as_adalfl,
    as_recipe,
    check_adapt_on,
    training_defaults,
)
from lossforge.training.full import Recipe


@pytest.mark.parametrize("preset", PRESETS)
def test_settings_change_the_preset(preset):
    recipe, adalfl = PRESETS[preset]
    assert as_recipe(None, preset, {}, "train", "iris") == recipe
    assert as_recipe(None, preset, {"steps": 7}, "train", "iris").steps == 7
    own = Recipe(steps=9)
    assert as_recipe(own, preset, {}, "train", "iris") == own
    assert as_adalfl(None, preset) == adalfl


def test_mistakes_are_told():
    with pytest.raises(UnknownNameError, match="did you mean 'steps'"):
        as_recipe(None, "quick", {"step": 7}, "train", "iris")
    with pytest.raises(LossforgeError, match="Recipe"):
        as_recipe({"steps": 3}, "quick", {}, "train", "iris")
    with pytest.raises(LossforgeError, match="AdaLFL"):
        as_adalfl("adalfl", "quick")
    with pytest.raises(LossforgeError, match="vaild"):
        check_adapt_on("vaild")


def test_defaults_need_no_flag():
    defaults = training_defaults("quick", "iris")
    assert (defaults["model"], defaults["adapt_on"], defaults["steps"]) == ("mlp", "valid", 1000)
