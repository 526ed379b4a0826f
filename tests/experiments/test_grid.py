"""Grids of losses, rates and seeds."""

import math

import pytest

from lossforge.errors import ConfigurationError
from lossforge.experiments.grid import Cell, Grid, Line, best_rate, markdown
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


def test_a_table_tells_what_diverged():
    good = tuple(Outcome(0.1, value, 1, ()) for value in (0.1, 0.2))
    bad = tuple(Outcome(math.inf, math.inf, 1, (), "diverged") for _ in range(2))
    lines = [Line("t", "m", "mse", 0.1, False, good), Line("t", "m", "mae", 0.1, True, bad)]
    table = markdown("t", lines)
    assert "0.1500" in table
    assert "mae, tuned rate 0.1 | diverged" in table
    assert lines[1].summary(lines[0])["test"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"losses": ()},
        {"losses": ("mse", "mse")},
        {"seeds": 0},
        {"factors": (0.0,)},
        {"tuning_seeds": 0},
    ],
)
def test_grids_that_make_no_sense_are_refused(changes):
    with pytest.raises(ConfigurationError):
        grid(**changes)
