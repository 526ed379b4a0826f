"""Portraits of every sort of loss are drawn, with axes that say what they are."""

from dataclasses import replace

import pytest

from lossforge.analysis.plots import draw_portrait
from lossforge.losses import ADALFL_NETWORK, HANDCRAFTED, NeuralLoss, SymbolicLoss

EVERY = [
    *(loss() for loss in HANDCRAFTED.values()),
    NeuralLoss(ADALFL_NETWORK),
    NeuralLoss(replace(ADALFL_NETWORK, residual=True)),
    SymbolicLoss("square(y - p)", kind="regression"),
    SymbolicLoss("1"),
]


@pytest.mark.parametrize("loss", EVERY, ids=str)
def test_curves_and_force_are_drawn(loss, tmp_path):
    for picture in draw_portrait(loss, tmp_path / "plots", classes=5):
        assert picture.stat().st_size > 5000
        drawing = picture.with_suffix(".svg").read_text()
        assert "<svg" in drawing
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        *("curves.png", "curves.svg", "force.png", "force.svg")
    ]
