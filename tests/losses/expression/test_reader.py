from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ExpressionError
from lossforge.losses.expression.reader import MAX_LENGTH, read
from lossforge.losses.expression.tree import Expression


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n ", "is empty"),
        ("y/p", r"column 1: no division .* aq\(a, b\)"),
        ("1 + y/log(p)", "column 5: no division"),
        ("y**3", r"column 4: .* \*\*2"),
        ("y**p", r"column 4: .* \*\*2"),
        ("y // p", "column 1: no such operator"),
        ("y % p", "column 3: unexpected character '%'"),
        ("lgo(p)", "column 1: .* 'lgo'; did you mean 'log'"),
        ("y + cosh(p)", "column 5: no function is named 'cosh'"),
        ("sub(y)", r"column 1: sub takes 2 argument\(s\), not 1"),
        ("log(y, p)", "log takes 1"),
        ("log(*y)", "column 5: not in the language"),
        ("q + p", "column 1: no input is named 'q'; use y or p"),
        ("y + log", "column 5: 'log' is a function"),
        ("log(", "column 4: .* never closed"),
        ("y)+(p", "column 2: unmatched"),
        ("y p", "column 1|column 3"),
        ("y.real", "column 1: not in the language"),
        ("y.real()", "column 1: no function"),
        ("True", "column 1: not in the language"),
        ("1j*y", "column 1: not in the language"),
        ("y, p", "column 1: not in the language"),
        ("y if p else 1", "column 1: not in the language"),
        ("1if p else y", "column 1: "),
        ("__import__('os')", r"column 12: unexpected character"),
        ("[y]", r"column 1: unexpected character '\['"),
        ("ÿ", "column 1: unexpected character"),
        ("y\0", "column 2: unexpected character"),
        ("1e999*y", "column 1: the number is too large"),
        ("9" * 400 + "*y", "column 1: the number is too large"),
        ("9" * 5000 + "*y", "column 1: "),
        ("-" * 100_000 + "y", "nested more than 150"),
        ("(" * 5000 + "y" + ")" * 5000, "too many nested"),
        ("log(" * 180 + "y" + ")" * 180, "nested more than 150"),
        ("+".join("y" * 50_000), "nested more than 150"),
        ("**".join("y" * 1000), "nested more than 150"),
        ("y" * (MAX_LENGTH + 1), "at most 200000"),
        ("y" * MAX_LENGTH, "no input is named"),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_text_that_is_no_expression_is_refused_in_one_line(text: str, message: str, weighted: bool):
    with pytest.raises(ExpressionError, match=message) as caught:
        read(text, weighted=weighted)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["2*y", "0", "y + 0.5", "-2", "y/2"])
def test_numbers_are_only_read_as_coefficients(text: str):
    with pytest.raises(ExpressionError, match=r"number|division"):
        read(text, weighted=False)
    assert read(text, weighted=True).coefficients


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y/0", "division by zero"),
        ("y/(1/0)", "no division"),
        ("1e200*1e200*y", "multiply to more"),
        ("1e200*(1e200*y)", "multiply to more"),
        ("y/1e-320", "multiply to more"),
    ],
)
def test_coefficients_that_cannot_be_held_are_refused(text: str, message: str):
    with pytest.raises(ExpressionError, match=message):
        read(text, weighted=True)


@given(st.text(alphabet="yp10.,+-*/() \nlogabsqminx_e", max_size=40), st.booleans())
def test_any_text_is_read_or_refused(text: str, weighted: bool):
    with suppress(ExpressionError):
        tree = read(text, weighted=weighted)
        assert Expression(tree.nodes).size == len(tree.coefficients)
