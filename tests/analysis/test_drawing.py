import sys

import pytest

from lossforge.analysis.drawing import MARKERS, STYLES, new_figure, save_figure


def test_figures_are_written_as_png_and_svg(tmp_path):
    figure = new_figure(3, 2)
    figure.add_subplot().plot([0, 1], [1, 0])
    save_figure(figure, tmp_path / "new" / "curve.v1")
    png, svg = (tmp_path / "new" / f"curve.v1.{ending}" for ending in ("png", "svg"))
    content = png.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    # Width and height stand in the header; 150 dots an inch.
    assert [int.from_bytes(content[at : at + 4], "big") for at in (16, 20)] == [450, 300]
    assert "<svg" in svg.read_text()


def test_no_display_and_no_global_figure_is_needed():
    new_figure(2, 2)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


@pytest.mark.parametrize("signs", [STYLES, MARKERS])
def test_lines_can_be_told_apart_without_colors(signs):
    assert len(set(signs)) == len(signs) > 3
