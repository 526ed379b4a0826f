"""What all charts are made of: a box with a description, and text that stays text."""

from hypothesis import given
from hypothesis import strategies as st

from lossforge.report.svg import WIDTH, cut, figure, text
from report.svg_reading import HOSTILE, parsed


@given(st.text(max_size=30), st.integers(2, 20))
def test_cut_text_has_both_ends_and_at_most_so_many_characters(content, length):
    found = cut(content, length)
    if len(content) <= length:
        assert found == content
        return
    head, _, tail = found.partition("…")
    assert len(found) == length + 1 or "…" in content
    assert found[: length // 2] == content[: length // 2]
    assert found[-(length - length // 2) :] == content[-(length - length // 2) :]
    assert head or tail


def test_a_figure_is_a_picture_with_a_description():
    (chart, below) = parsed(figure("<path/>", 100.5, HOSTILE, "<p>legend</p>"))
    assert chart.attrib["viewBox"] == f"0 0 {WIDTH} 100.5"
    assert (chart.attrib["role"], chart.attrib["aria-label"]) == ("img", HOSTILE)
    assert [each.tag for each in chart] == ["path"]
    assert below.text == "legend"


def test_text_stands_where_it_is_told():
    (found,) = parsed(text(1.26, 2.0, HOSTILE, "tick end"))
    assert found.attrib == {"class": "tick end", "x": "1.3", "y": "2.0"}
    assert found.text == HOSTILE
