"""The settings of a training, by preset."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

from lossforge.errors import ConfigurationError, unknown_name
from lossforge.experiments.arguments import (
    Preset,
    check_preset,
    with_settings,
)
from lossforge.experiments.paper import recipe_for
from lossforge.experiments.repeating import DEFAULTS
from lossforge.methods import AdaLFL, State
from lossforge.methods.training_config import AdaptOn
from lossforge.training.full import Recipe

if TYPE_CHECKING:
    pass


PRESETS: dict[str, tuple[Recipe, AdaLFL]] = {
    "quick": (Recipe(steps=1000, check_every=100), AdaLFL(record_every=50)),
    "paper": (
        Recipe(keep_best=False),
        AdaLFL(
            warm_up_steps=2500,
            warm_up_scales=(),
            warm_up_horizons=(1,),
            average=True,
            record_every=500,
        ),
    ),
}


def training_defaults(preset: Preset, task: str) -> State:
    """Return the options of a training that need no flag: a preset's on a task."""
    recipe, adalfl = PRESETS[preset]
    recipe = recipe_for(preset, task, recipe)
    own = {"adalfl": asdict(adalfl), "adapt_on": "valid", "task_loss": ""}
    return DEFAULTS | asdict(recipe) | own


def as_recipe(
    recipe: Recipe | None, preset: Preset, settings: Mapping[str, Any], owner: str, task: str
) -> Recipe:
    """Return the recipe of a training on a task, with the settings that differ."""
    check_preset(preset)
    base = recipe_for(preset, task, PRESETS[preset][0]) if recipe is None else recipe
    if not isinstance(base, Recipe):
        raise ConfigurationError(f"recipe must be a Recipe, not {base!r}")
    return with_settings(base, settings, owner)


def as_adalfl(adalfl: AdaLFL | None, preset: Preset) -> AdaLFL:
    """Return the settings of the adaptive loss."""
    check_preset(preset)
    found = PRESETS[preset][1] if adalfl is None else adalfl
    if not isinstance(found, AdaLFL):
        raise ConfigurationError(f"adalfl must be an AdaLFL, not {found!r}")
    return found


def check_adapt_on(adapt_on: AdaptOn) -> AdaptOn:
    """Return the rows that an adaptive loss learns from, if there are such."""
    if adapt_on not in get_args(AdaptOn):
        raise unknown_name("choice of adapt_on", str(adapt_on), get_args(AdaptOn))
    return adapt_on
