"""Grids of losses, rates and seeds."""

import pytest

from lossforge.errors import ConfigurationError
from lossforge.experiments.grid import Cell, Grid, best_rate
from lossforge.methods import AdaLFL
from lossforge.training.full import Outcome, Recipe


def grid(**changes) -> Grid:
    settings = {
        "losses": ("mse", "mae"),
        "tasks": ("diabetes",),
        "models": ("linear",),
        "seeds": 3,
        "first_seed": 0,
        "recipe": Recipe(),
        "adalfl": AdaLFL(),
        "adapt_on": "valid",
        "tune": "handcrafted",
        "factors": (0.1, 1.0),
        "tuning_seeds": 2,
    }
    return Grid(**(settings | changes))


def test_tuning_sees_other_seeds_than_the_comparison():
    tuning = {cell.seed for cell in grid().tuning_cells("diabetes", "linear", "mse")}
    compared = {cell.seed for cell in grid().cells("diabetes", "linear", "mse", 0.01)}
    assert not tuning & compared
    assert len(list(grid().tuning_cells("diabetes", "linear", "mse"))) == 4


def test_the_best_rate_is_chosen_by_validation_data_alone():
    cells = [Cell("t", "m", "mse", rate, seed) for rate in (0.1, 1.0) for seed in (0, 1)]
    valid = {0.1: 0.3, 1.0: 0.2}
    outcomes = {c.key: Outcome(valid[c.learning_rate], 1 - c.learning_rate, 1, ()) for c in cells}
    assert best_rate(cells, outcomes) == 1.0


@pytest.mark.parametrize(
    "changes",
    [
        {"losses": ()},
        {"losses": ("mse", "mse")},
        {"seeds": 0},
        {"factors": (0.0,)},
        {"tuning_seeds": 0},
        {"seeds": 2.5},
        {"first_seed": "0"},
    ],
)
def test_grids_that_make_no_sense_are_refused(changes):
    with pytest.raises(ConfigurationError):
        grid(**changes)
