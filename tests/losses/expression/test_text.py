from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ExpressionError
from lossforge.losses.expression.generate import full_tree, grow_tree
from lossforge.losses.expression.text import (
    parse,
    parse_weighted,
    require_coefficients,
    to_text,
    weighted_text,
)
from lossforge.losses.expression.tree import Expression

expressions = st.integers(0, 10**6).map(lambda seed: grow_tree(6, Random(seed)))
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1.0, -1.0, 0.0])


@given(expressions)
def test_parse_inverts_to_text(expression: Expression):
    assert parse(to_text(expression)) == expression


@given(expressions, st.data())
def test_parse_weighted_inverts_weighted_text_exactly(expression: Expression, data: st.DataObject):
    size = expression.size
    coefficients = data.draw(st.lists(numbers, min_size=size, max_size=size))
    text = weighted_text(expression, coefficients)
    assert parse_weighted(text) == (expression, coefficients)


@given(expressions)
def test_weights_of_one_are_not_written(expression: Expression):
    text = to_text(expression)
    assert weighted_text(expression, [1.0] * expression.size) == text
    assert parse_weighted(text) == (expression, [1.0] * expression.size)


def test_the_largest_trees_of_a_search_can_be_read_back():
    full = full_tree(10, Random(0))
    chain = Expression(("square",) * 70 + ("p",))
    for expression in (full, chain):
        coefficients = [1.2345678901234567] * expression.size
        assert parse_weighted(weighted_text(expression, coefficients)) == (expression, coefficients)


def test_digits_round():
    text = weighted_text(Expression(("sub", "y", "p")), [0.123456, 0.99999, -2.0], digits=3)
    assert text == "0.123*sub(y, -2*p)"


@pytest.mark.parametrize(
    ("infix", "function_form"),
    [
        ("-y*log(p)", "mul(mul(-1, y), log(p))"),
        ("(y - p)**2", "square(sub(y, p))"),
        ("y + p - 1", "sub(add(y, p), 1)"),
        ("y - (p - -1)", "sub(y, sub(p, -1))"),
        ("+abs(p)", "abs(p)"),
        ("-1", "-1"),
        ("-(1)", "-1"),
        ("1*y", "mul(1, y)"),
        ("  max( y ,\n p )", "max(y, p)"),
    ],
)
def test_infix(infix: str, function_form: str):
    assert to_text(parse(infix)) == function_form


@pytest.mark.parametrize(
    ("text", "weighted"),
    [
        ("0.5*mul(1.2*y, log(p))", "0.5*mul(1.2*y, log(p))"),
        ("y*0.5*2", "y"),
        ("0.5*1.2*y", "0.6*y"),
        ("3", "3.0*1"),
        ("-3", "-3.0*1"),
        ("2*-1", "2.0*-1"),
        ("-y", "-1.0*y"),
        ("(y - p)**2/4", "0.25*square(sub(y, p))"),
        ("y*p*3", "3.0*mul(y, p)"),
        ("1 - 2*p", "sub(1, 2.0*p)"),
        ("1e-3*y + 0*p", "add(0.001*y, 0.0*p)"),
        ("3/4", "0.75*1"),
    ],
)
def test_numbers_become_coefficients(text: str, weighted: str):
    assert weighted_text(*parse_weighted(text)) == weighted


def test_coefficients_must_be_finite_and_as_many_as_nodes():
    expression = Expression(("y",))
    require_coefficients(expression, [2.0])
    with pytest.raises(ExpressionError, match="2 coefficients for an expression of 1 nodes"):
        weighted_text(expression, [1.0, 2.0])
    with pytest.raises(ExpressionError, match="must be finite"):
        weighted_text(expression, [float("inf")])
