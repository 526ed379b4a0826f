"""Charts: well-formed SVG that shows every number it is given."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.report import (
    Candidate,
    Film,
    Interval,
    Line,
    Mark,
    Share,
    Strip,
    film_chart,
    front_chart,
    interval_chart,
    line_chart,
    share_bar,
    strip_plot,
)
from report.svg_reading import HOSTILE, parsed, tips

SVG = "<svg"
VALUES = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(st.one_of(VALUES, st.just(math.inf), st.just(math.nan)), min_size=1, max_size=30))
def test_lines_hold_any_numbers(values):
    points = list(enumerate(map(float, values)))
    chart = line_chart([Line("a", points, marked=True)], "x", "y", "about")
    parsed(chart)
    assert "nan" not in chart
    assert "inf" not in chart
    assert len(tips(chart)) == sum(map(math.isfinite, values))


def test_a_line_is_interrupted_where_it_is_not_finite():
    chart = line_chart([Line("a", [(0, 1.0), (1, 2.0), (2, math.inf), (3, 1.0)])], "x", "y", "t")
    (way,) = (e.attrib["d"] for e in parsed(chart).iter("path") if e.get("class") == "line s0"
              and e.attrib["d"] != "M0 4H28")  # fmt: skip
    assert way.count("M") == 2


def test_marks_and_legend_are_there():
    lines = [Line("first", [(0, 0), (1, 1)]), Line("", [(0, 1), (1, 0)], 1, dashed=True)]
    chart = line_chart(lines, "x", "y", "about", marks=[Mark(0.5, "half")], zero=True)
    told = "".join(parsed(chart).itertext())
    assert "half" in told
    assert told.count("first") == 1


def test_small_changes_look_small():
    def top(least: float) -> float:
        chart = line_chart([Line("", [(0, 1.0), (1, 1.001)])], "x", "y", "t", least=least)
        (way,) = (e.attrib["d"] for e in parsed(chart).iter("path") if e.get("class") == "line s0")
        first, last = (float(place.split()[1]) for place in way[1:].split("L"))
        return first - last

    assert top(0.0) > 20 * top(0.2)


@given(st.lists(st.one_of(VALUES, st.none()), min_size=1, max_size=12))
def test_a_strip_has_a_dot_for_each_run(values):
    chart = strip_plot([Strip("loss", values)], "error", "about")
    dots = list(parsed(chart).iter("circle"))
    assert len(dots) == sum(value is not None for value in values)
    diverged = sum(value is None for value in values)
    assert (f"({diverged} diverged)" in chart) == bool(diverged)


def test_equal_runs_do_not_hide_one_another():
    chart = strip_plot([Strip("loss", [0.5] * 5)], "error", "about")
    assert len({each.attrib["cy"] for each in parsed(chart).iter("circle")}) == 5


def test_intervals_show_their_ends():
    chart = interval_chart([Interval("maml", 90.0, 1.0), Interval("npbml", 95.0, 0.5)], "%", "t")
    assert "maml: 90.00 ± 1.00" in tips(chart)


def test_the_front_shows_formulas():
    front = [Candidate(3, 0.5, "y·p"), Candidate(7, 0.01, "log|p|")]
    chart = front_chart(front, [Candidate(9, 0.2, "add(y, p)")], "error", "about")
    assert any("log|p|" in tip for tip in tips(chart))
    assert len(tips(chart)) == 3


def test_shares_fill_the_bar():
    chart = share_bar([Share("kept", 1, 0), Share("dropped", 3, 1)], "about")
    assert "dropped: 3 of 4 (75%)" in tips(chart)


def test_a_film_has_every_frame():
    frames = [[Line("a", [(0, 0), (1, k)])] for k in range(4)]
    chart = film_chart(Film([0, 10, 20, 30], frames), "x", "y", "about")
    (moving,) = (e for e in parsed(chart).iter("path") if "moving" in e.get("class", ""))
    ways = moving.attrib["data-frames"].split(";")
    assert len(set(ways)) == len(ways) == 4
    assert moving.attrib["d"] == ways[0]


@pytest.mark.parametrize(
    "chart",
    [
        line_chart([Line(HOSTILE, [(0, 0), (1, 1)], marked=True)], HOSTILE, HOSTILE, HOSTILE),
        strip_plot([Strip(HOSTILE, [1.0])], HOSTILE, HOSTILE),
        interval_chart([Interval(HOSTILE, 1.0, 0.1)], HOSTILE, HOSTILE),
        front_chart([Candidate(1, 1.0, HOSTILE)], [], HOSTILE, HOSTILE),
        share_bar([Share(HOSTILE, 1, 0)], HOSTILE),
    ],
)
def test_names_are_text(chart):
    assert not list(parsed(chart).iter("script"))
    assert "<script" not in chart
