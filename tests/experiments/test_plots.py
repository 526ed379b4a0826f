"""Figures hold the numbers that they are drawn from."""

import pytest

from lossforge.experiments.plots import (
    draw_curve,
    draw_front,
    draw_intervals,
    draw_ranks,
    draw_runs,
    figure_with,
)


@pytest.mark.parametrize("panels", [1, 3])
def test_panels_stand_in_a_row(panels):
    figure, axes = figure_with(panels)
    assert len(axes) == len(figure.axes) == panels


def test_every_run_is_a_dot_and_the_mean_a_line():
    _, (axes,) = figure_with(1)
    draw_runs(axes, ["focal", "mse"], [[0.1, None, 0.3], [None]], "error rate")
    dots, mean, none = axes.lines
    assert list(dots.get_xdata()) == [0.1, 0.3]
    assert list(mean.get_xdata()) == pytest.approx([0.2, 0.2])
    assert list(none.get_xdata()) == []
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["focal (1 diverged)", "mse (1 diverged)"]
    assert axes.get_xlabel() == "error rate on test data"


def test_ranks_stand_at_their_place_and_bars_join_what_does_not_differ():
    _, (axes,) = figure_with(1)
    overall = {
        "names": ["a", "b", "c"],
        "ranks": [2.5, 1.2, 2.3],
        "groups": [["c", "a"]],
        "critical_difference": 0.7,
    }
    draw_ranks(axes, overall)
    texts = [text.get_text().strip() for text in axes.texts]
    assert texts[:3] == ["b (1.20)", "c (2.30)", "a (2.50)"]
    assert "critical difference 0.70" in texts
    bars = [list(line.get_xdata()) for line in axes.lines]
    assert any(bar == pytest.approx([2.25, 2.55]) for bar in bars if len(bar) == 2)
    assert any(bar == pytest.approx([1, 1.7]) for bar in bars if len(bar) == 2)


def test_fronts_and_curves_hold_their_points():
    _, (first, second) = figure_with(2)
    draw_front(first, [{"size": 1, "fitness": 0.4}, {"size": 5, "fitness": 0.2}], "error rate")
    draw_curve(second, [(10, 0.5), (20, 0.25)], "mse")
    assert [tuple(point) for point in first.lines[0].get_xydata()] == [(1, 0.4), (5, 0.2)]
    assert [tuple(point) for point in second.lines[0].get_xydata()] == [(10, 0.5), (20, 0.25)]
    assert second.get_ylabel() == "mse on validation data"


def test_intervals_lie_around_their_means():
    _, (axes,) = figure_with(1)
    draw_intervals(axes, ["maml", "npbml"], [60.0, 70.0], [2.0, 1.0], "accuracy")
    (segments,) = [bars.get_segments() for bars in axes.collections]
    assert [[end[0] for end in segment] for segment in segments] == [[58, 62], [69, 71]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["maml", "npbml"]
