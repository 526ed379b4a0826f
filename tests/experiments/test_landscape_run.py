"""Landscapes from Python, and mistakes before any training."""

import pytest

from lossforge.errors import LossforgeError
from lossforge.experiments.landscape_run import landscape
from lossforge.losses import Focal


def test_names_and_objects_give_pictures(tmp_path):
    small = {"steps": 20, "points": 3, "rows": 30, "progress": False, "out": tmp_path / "pictures"}
    first, second = landscape(["cross_entropy", Focal(1.0)], "iris", "linear", **small)
    assert (first.name, second.name) == ("cross_entropy", "focal:gamma=1")
    assert 0 <= first.test <= 1
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        f"{name}.{ending}" for name in ("line", "planes", "features") for ending in ("png", "svg")
    }


@pytest.mark.parametrize(
    ("losses", "settings", "says"),
    [
        ([], {}, "give at least one"),
        (["focl"], {}, "did you mean 'focal'"),
        (["mse"], {}, "mse is a loss for regression"),
        (["focal"], {"rows": 5}, "rows must be at least 10"),
        (["focal"], {"steps": 0}, "steps must be at least 1"),
        (["focal"], {"points": 4}, "points must be odd"),
    ],
)
def test_mistakes(losses, settings, says, tmp_path):
    small = {"steps": 5, "rows": 30, "progress": False, "out": tmp_path / "pictures"}
    with pytest.raises(LossforgeError, match=says):
        landscape(losses, "iris", "linear", **(small | settings))
    assert not list(tmp_path.iterdir())
