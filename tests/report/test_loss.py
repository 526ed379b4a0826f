"""The part of a page about a loss: formula, code to copy, charts and what was found."""

from importlib import import_module

import pytest

from lossforge.analysis.explanation import explain
from lossforge.losses import (
    ADALFL_NETWORK,
    CrossEntropy,
    Focal,
    Huber,
    NeuralLoss,
    SquaredOutputs,
    SymbolicLoss,
)
from lossforge.report.loss import formula_html, loss_sections, pull_points


@pytest.fixture(scope="module")
def findings():
    """What was found about a loss: looking takes seconds."""
    return explain(CrossEntropy(), 4)


@pytest.fixture
def told(findings, monkeypatch) -> list[object]:
    """Losses that were explained."""
    asked = []
    module = import_module("lossforge.report.loss")  # `lossforge.report` is also a function
    monkeypatch.setattr(module, "explain", lambda *given: asked.append(given) or findings)
    return asked


@pytest.mark.parametrize("classes", [2, 10])
def test_cross_entropy_pulls_by_what_is_missing_divided_by_the_factor(classes):
    points = pull_points(CrossEntropy(), classes, 4.0)
    assert len(points) > 100
    assert [pull for _, pull in points] == pytest.approx([(1 - p) / 4 for p, _ in points], abs=1e-6)


def test_errors_are_drawn_as_far_as_charts_show_them():
    points = pull_points(Huber(0.5), 1)
    assert max(abs(error) for error, _ in points) <= 3
    assert [pull for _, pull in points] == pytest.approx([min(abs(e), 0.5) for e, _ in points])


def test_losses_without_a_formula_are_told_by_name():
    assert formula_html(Focal(2.0)).startswith("<math")
    loss = NeuralLoss(ADALFL_NETWORK)
    assert formula_html(loss).startswith("<code>")


@pytest.mark.parametrize(
    ("loss", "copies"),
    [
        (SymbolicLoss("-y*log(p)"), 3),
        (SquaredOutputs(), 3),
        (NeuralLoss(ADALFL_NETWORK), 0),
    ],
    ids=["symbolic", "outputs", "neural"],
)
def test_every_loss_has_its_two_parts(loss, copies, told):
    formula, behavior = loss_sections(loss, 4, "a search on iris")
    assert (formula.title, behavior.title) == ("The loss", "What it does")
    code = "".join(map(str, formula.blocks))
    assert code.count('class="copier"') == copies
    assert ("Exported from a search on iris." in code) is (copies > 0)
    charts = behavior.blocks[1]
    assert charts.count("<figure>") == 3
    assert "nan" not in charts
    assert told == [(loss, 4)]
    assert "<dt>rate factor</dt>" in behavior.blocks[2]
    assert "Gradients were compared on 4 outputs." in behavior.blocks[2]


def test_a_loss_of_whole_rows_stands_beside_the_default_of_whole_rows(told):
    charts = loss_sections(SquaredOutputs(), 4, "a run")[1].blocks[1]
    assert "non-target" not in charts
