"""Heat maps: a cell for each pair, stronger where the number is greater."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from lossforge.report import heat_map_chart
from lossforge.report.heat_map import STRONGEST
from report.svg_reading import HOSTILE, parsed, tips


def test_a_heat_map_has_a_cell_for_each_pair():
    chart = heat_map_chart(["a", "b"], ["iris", "wine"], [[-1.0, 0.5], [None, float("nan")]], "t")
    assert tips(chart) == ["a, iris: -1", "a, wine: +0.5", "b, iris: none", "b, wine: none"]
    kinds = [
        each.attrib["class"] for each in parsed(chart).iter("rect") if "data-tip" in each.attrib
    ]
    assert kinds == ["cell low", "cell high", "cell missing", "cell missing"]


@settings(max_examples=25)
@given(st.lists(st.floats(-1e6, 1e6).filter(lambda v: abs(v) > 1e-6), min_size=1, max_size=6))
def test_the_strength_is_the_share_of_the_greatest_number(values):
    columns = [f"task {i}" for i in range(len(values))]
    chart = heat_map_chart(["a"], columns, [values], "t")
    found = [float(each) for each in re.findall(r"fill-opacity:([\d.]+)", chart)]
    most = max(map(abs, values))
    expected = [STRONGEST * abs(value) / most for value in values]
    assert len(found) == len(expected)
    assert all(abs(a - b) <= 0.00501 for a, b in zip(found, expected, strict=True))


def test_zeros_alone_are_drawn():
    assert tips(heat_map_chart(["a"], ["iris"], [[0.0]], "t")) == ["a, iris: +0"]


def test_numbers_stand_in_wide_cells_alone():
    for count, expected in ((2, ["+0.5", "+0.5"]), (12, [])):
        chart = heat_map_chart(["a"], list("abcdefghijkl")[:count], [[0.5] * count], "t")
        numbers = [e.text for e in parsed(chart).iter("text") if "number" in e.attrib["class"]]
        assert numbers == expected


def test_names_are_text():
    chart = heat_map_chart([HOSTILE], [HOSTILE], [[1.0]], HOSTILE)
    assert not list(parsed(chart).iter("script"))
    assert tips(chart) == [f"{HOSTILE}, {HOSTILE}: +1"]


def test_short_names_above_wide_columns_are_level():
    assert "rotate" not in heat_map_chart(["a"], ["iris", "wine"], [[0.5, 0.1]], "t")
    assert "rotate" in heat_map_chart(["a"], ["breast_cancer", "wine"], [[0.5, 0.1]], "t")
