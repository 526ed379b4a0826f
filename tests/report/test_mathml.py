"""MathML: well formed for every formula that lossforge writes."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossforge.analysis.export import export
from lossforge.errors import ConfigurationError
from lossforge.losses import HANDCRAFTED, SymbolicLoss
from lossforge.losses.expression import ARITY, PRIMITIVES
from lossforge.report import to_mathml


def leaves(mathml: str) -> str:
    return "".join(ET.fromstring(mathml).itertext())


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_every_primitive_has_a_formula(name):
    arguments = ["add(y, 1)", "sub(p, y)"][: ARITY[name]]
    loss = SymbolicLoss(f"add({name}({', '.join(arguments)}), p)")
    assert ET.fromstring(to_mathml(loss.formula.latex)).tag == "math"


@pytest.mark.parametrize("name", sorted(HANDCRAFTED))
def test_every_handcrafted_loss_has_a_formula(name):
    latex = export(HANDCRAFTED[name](), "latex", "").partition("\n")[2]
    assert ET.fromstring(to_mathml(latex)).tag == "math"


@settings(max_examples=40)
@given(st.lists(st.floats(-1e9, 1e9).filter(lambda x: abs(x) > 1e-9), min_size=3, max_size=3))
def test_numbers_are_those_of_the_formula(numbers):
    a, b, c = numbers
    formula = SymbolicLoss(f"{a!r}*y*log(p) + {b!r}*square(p) + {c!r}").formula
    told = leaves(to_mathml(formula.latex))
    written = formula.latex
    for command in (r"\left", r"\right", r"\,", r"\cdot", r"\log", "{", "}", "^", " ", "|", "-"):
        written = written.replace(command, "")
    for extra in ("log", "·", "|", "\N{MINUS SIGN}"):
        told = told.replace(extra, "")
    assert told == written


def test_powers_belong_to_what_stands_before_them():
    mathml = to_mathml(r"\left(p - y\right)^{2}")
    (power,) = ET.fromstring(mathml)
    assert power.tag == "msup"
    assert ["".join(part.itertext()) for part in power] == ["(p\N{MINUS SIGN}y)", "2"]


@pytest.mark.parametrize(
    ("latex", "reason"),
    [
        (r"\iint p", "unknown"),
        (r"\frac{p}", "ends early"),
        (r"\left(p", "missing"),
        ("^2", "follows nothing"),
        ("{p", "missing"),
    ],
)
def test_what_cannot_be_shown_is_told(latex, reason):
    with pytest.raises(ConfigurationError, match=reason):
        to_mathml(latex)


def test_signs_of_html_are_escaped():
    assert "&lt;" in to_mathml("p < y")
    ET.fromstring(to_mathml("p < y & p"))
