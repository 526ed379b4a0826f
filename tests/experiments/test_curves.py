"""Training curves: the mean over the seeds, between the least and the greatest."""

from types import SimpleNamespace

import pytest

from lossforge.experiments import curves
from lossforge.experiments.curves import plot_curves


def line(name: str, *runs: list[tuple[int, float]], failed: int = 0) -> SimpleNamespace:
    outcomes = [SimpleNamespace(curve=curve, failure=None) for curve in runs]
    outcomes += [SimpleNamespace(curve=[(10, 1e9)], failure="diverged")] * failed
    return SimpleNamespace(name=name, outcomes=outcomes)


@pytest.fixture
def axes(monkeypatch, tmp_path):
    kept = []
    save = curves.save_figure
    monkeypatch.setattr(curves, "save_figure", lambda f, path: (kept.append(f), save(f, path)))

    def draw(*lines):
        plot_curves("iris", "error rate", lines, tmp_path / "curves")
        assert (tmp_path / "curves.svg").is_file()
        return kept[-1].axes[0]

    return draw


def test_means_and_ranges_are_of_the_steps_that_all_runs_have(axes):
    drawn = axes(line("a", [(10, 0.4), (20, 0.2), (30, 0.1)], [(10, 0.6), (20, 0.4)], failed=1))
    (curve,) = drawn.lines
    assert list(curve.get_xdata()) == [10, 20]
    assert list(curve.get_ydata()) == pytest.approx([0.5, 0.3])
    (band,) = drawn.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.2, 0.6))


def test_a_loss_whose_runs_all_diverged_has_no_curve(axes):
    drawn = axes(line("a", [(10, 0.5)]), line("b", failed=2))
    assert [each.get_label() for each in drawn.lines] == ["a"]


@pytest.mark.parametrize(("least", "scale"), [(0.1, "log"), (0.0, "linear")])
def test_zeros_are_drawn_where_there_are_any(least, scale, axes):
    assert axes(line("a", [(10, 0.5), (20, least)])).get_yscale() == scale
