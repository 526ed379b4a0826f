"""Critical-difference diagrams: every method at its rank, bars over those that do not differ."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from lossforge.report import critical_difference_chart
from report.svg_reading import HOSTILE, parsed, tips


def test_a_diagram_orders_by_rank_and_draws_groups():
    names = ["c", "a", "b"]
    chart = critical_difference_chart(names, [3.0, 1.2, 1.8], [["a", "b"]], 1.1)
    label = parsed(chart)[0].attrib["aria-label"]
    assert re.findall(r"(\w) \d", label) == ["a", "b", "c"]
    assert "no difference: a, b" in tips(chart)
    assert "critical difference 1.10" in chart


@settings(max_examples=25)
@given(st.lists(st.floats(1, 8), min_size=2, max_size=9))
def test_dots_stand_in_the_order_of_the_ranks(ranks):
    names = [f"method {i}" for i in range(len(ranks))]
    chart = parsed(critical_difference_chart(names, ranks, [], 1.0))
    dots = list(chart.iter("circle"))
    places = [float(each.attrib["cx"]) for each in dots]
    assert places == sorted(places)
    assert sorted(each.attrib["data-tip"] for each in dots) == sorted(
        f"{name}: {rank:.2f}" for name, rank in zip(names, ranks, strict=True)
    )


def test_a_bar_reaches_over_its_group_and_no_further():
    chart = parsed(critical_difference_chart(list("abcd"), [1.0, 2.0, 3.0, 4.0], [["b", "c"]], 1))
    at = {e.attrib["data-tip"][0]: float(e.attrib["cx"]) for e in chart.iter("circle")}
    (bar,) = (e.attrib["d"] for e in chart.iter("path") if e.get("class") == "group")
    left, right = (float(each) for each in re.findall(r"[MH]([\d.]+)", bar))
    assert at["a"] < left < at["b"] < at["c"] < right < at["d"]


def test_names_are_text():
    chart = critical_difference_chart([HOSTILE, "b"], [1.0, 2.0], [[HOSTILE, "b"]], 1.0)
    assert not list(parsed(chart).iter("script"))
    assert any(HOSTILE in tip for tip in tips(chart))
