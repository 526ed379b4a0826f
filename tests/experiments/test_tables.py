"""Tables keep numbers whole and fit the terminal."""

from hypothesis import given
from hypothesis import strategies as st

from lossforge.experiments.tables import SHORTEST_NAME, Table, number, p_value, shorten

names = st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=60)
rows = st.lists(st.tuples(names, st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5)


def table(content) -> Table:
    cells = tuple((name, number(test), p_value(p)) for name, test, p in content)
    return Table("title", ("loss", "test", "p"), cells)


@given(rows, st.integers(SHORTEST_NAME + 20, 120))
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(content, width):
    shown = table(content)
    lines = shown.plain(width).splitlines()
    assert max(map(len, lines)) <= width
    for cells, text in zip(shown.rows, lines[-len(shown.rows) :], strict=True):
        assert text.split()[-2:] == list(cells[1:])


def test_a_terminal_that_is_too_narrow_loses_no_number():
    assert "0.2500" in table([("cross_entropy", 0.25, 0.5)]).plain(5)


@given(names, st.integers(1, 60))
def test_a_shortened_text_begins_and_ends_as_the_text_does(text, width):
    shown = shorten(text, width)
    assert len(shown) <= width
    head, _, tail = shown.partition("…")
    assert text.startswith(head)
    assert text.endswith(tail)


def test_markdown_escapes_what_would_end_a_cell():
    text = table([("|p - y|", 0.25, 0.5)]).markdown()
    assert "| \\|p - y\\| | 0.2500 | 0.500 |" in text
    assert "|---|---:|---:|" in text


def test_html_escapes_formulas():
    text = table([("p < y & 1", 0.25, 0.5)]).html()
    assert "p &lt; y &amp; 1" in text
    assert text.count("<tr>") == 2
