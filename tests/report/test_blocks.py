"""Pieces of a page: what they are given is text, and stands where it belongs."""

import xml.etree.ElementTree as ET

import pytest
from markupsafe import Markup

from lossforge.experiments.tables import Table
from lossforge.report import blocks
from lossforge.report.blocks import Section
from report.svg_reading import HOSTILE, parsed

TABLE = Table(HOSTILE, ("loss", "mean"), (("focal", "0.25"), (HOSTILE, "0.5")), 1, (HOSTILE,))


def texts(root: ET.Element, tag: str) -> list[str]:
    return ["".join(each.itertext()) for each in root.iter(tag)]


@pytest.mark.parametrize(
    "block",
    [
        blocks.paragraph(HOSTILE, HOSTILE),
        blocks.figure(HOSTILE, "<svg/>", HOSTILE),
        blocks.table(TABLE),
        blocks.definitions([(HOSTILE, HOSTILE)]),
        blocks.warnings([HOSTILE]),
        blocks.to_copy(HOSTILE, HOSTILE, "name"),
        blocks.codes_to_copy({"LaTeX": HOSTILE}),
        blocks.folded(HOSTILE, Markup("<p/>")),
    ],
)
def test_what_is_given_is_text(block):
    root = parsed(block)
    assert HOSTILE in "".join(root.itertext())
    assert not list(root.iter("script"))


def test_numbers_stand_on_the_right():
    root = parsed(blocks.table(TABLE))
    assert texts(root, "th") == ["loss", "mean"]
    assert texts(root, "td") == ["focal", "0.25", HOSTILE, "0.5"]
    assert [each.get("class") for each in root.iter("td")] == [None, "number"] * 2


def test_a_button_copies_the_code_of_its_name():
    root = parsed(blocks.codes_to_copy({"PyTorch": "a\n<b", "SymPy": "c"}))
    codes = {each.attrib["id"]: each.text for each in root.iter("code")}
    copied = {
        "".join(each.itertext()): codes[each.attrib["data-copies"]] for each in root.iter("button")
    }
    assert copied == {"Copy PyTorch": "a\n<b", "Copy SymPy": "c"}


def test_without_a_warning_there_is_no_box():
    assert blocks.warnings([]) == ""
    assert texts(parsed(blocks.warnings(["one", "two"])), "li") == ["one", "two"]


def test_blocks_flow_in_order():
    assert texts(parsed(blocks.flow([blocks.paragraph(n) for n in "abc"])), "p") == list("abc")


@pytest.mark.parametrize(
    ("title", "name"),
    [("What it does", "what-it-does"), ("Results: 5 % (test)", "results-5-test"), ("A", "a")],
)
def test_a_heading_is_an_anchor(title, name):
    assert Section(title, ()).name == name
