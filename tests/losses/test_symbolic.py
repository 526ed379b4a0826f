"""A formula as a loss: its values, its coefficients, its definition."""

from random import Random

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lossforge.errors import ExpressionError
from lossforge.losses import SymbolicLoss
from lossforge.losses.expression import (
    Primitive,
    by_autograd,
    evaluate,
    parse,
    registered,
    to_text,
)
from lossforge.losses.expression.generate import grow_tree

trees = st.integers(0, 10**6).map(lambda seed: grow_tree(4, Random(seed), 1))


@given(tree=trees, seed=st.integers(0, 99), softplus=st.booleans())
@settings(max_examples=40)
def test_values_are_those_of_the_expression(tree, seed, softplus):
    generator = torch.Generator().manual_seed(seed)
    outputs, targets = torch.randn(2, 5, 1, generator=generator, dtype=torch.float64)
    coefficients = torch.randn(tree.size, generator=generator, dtype=torch.float64)
    loss = SymbolicLoss(tree, coefficients, kind="regression", softplus=softplus)
    value = evaluate(tree, targets, outputs, coefficients).expand_as(outputs)
    expected = (F.softplus(value) if softplus else value).sum(1)
    torch.testing.assert_close(loss.per_example(outputs, targets).flatten(), expected)


@given(tree=trees)
@settings(max_examples=40)
def test_the_definition_builds_the_same_loss(tree):
    coefficients = torch.linspace(-1, 1, tree.size)
    definition = SymbolicLoss(tree, coefficients, kind="regression").definition()
    again = SymbolicLoss(
        definition["expression"], definition["coefficients"], kind=definition["kind"]
    )
    assert again.expression == tree
    assert torch.equal(again.coefficients, coefficients)


def test_cross_entropy_by_its_formula():
    outputs, labels = torch.randn(6, 4), torch.randint(4, (6,))
    loss = SymbolicLoss("-y*log(p)")
    torch.testing.assert_close(
        loss(outputs, labels), F.cross_entropy(outputs, labels), rtol=1e-3, atol=1e-4
    )
    assert str(loss) == "-y·log|p|"


def test_coefficients_are_those_of_the_text_unless_given():
    text = "0.5*square(y - 3*p)"
    written = SymbolicLoss(text, kind="regression").coefficients
    assert sorted(written.tolist()) == [0.5, 1.0, 1.0, 3.0]
    given_ones = SymbolicLoss(text, [1.0] * 4, kind="regression").coefficients
    assert given_ones.tolist() == [1.0] * 4
    assert not written.requires_grad


def test_double_precision_is_kept():
    coefficients = torch.tensor([1 / 3] * 3, dtype=torch.float64)
    assert torch.equal(SymbolicLoss("y*p", coefficients).coefficients, coefficients)
    assert SymbolicLoss("y*p", [1 / 3] * 3).coefficients.dtype == torch.float32


def test_classification_formulas_hold_for_labels():
    assert str(SymbolicLoss("y*y*log(p)", kind="classification")) == "y·log|p|"
    assert str(SymbolicLoss("y*y*log(p)", kind="regression")) != "y·log|p|"


@pytest.mark.parametrize(
    ("coefficients", "says"),
    [
        ([1.0, 2.0], r"has 3 nodes and needs as many coefficients, not \(2,\)"),
        ([1.0, torch.inf, 0.0], "not all finite"),
        ([1.0, torch.nan, 0.0], "not all finite"),
    ],
)
def test_coefficients_that_do_not_fit_are_refused(coefficients, says):
    with pytest.raises(ExpressionError, match=says):
        SymbolicLoss("y*p", coefficients)


def test_a_definition_names_the_functions_that_users_added():
    own = Primitive(name="twice", arity=1, jet=by_autograd(lambda a: 2 * a))
    with registered(own):
        assert SymbolicLoss(parse("twice(y - p)")).definition()["primitives"] == ["twice"]
    plain = SymbolicLoss("square(y - p)").definition()
    assert "primitives" not in plain
    assert plain["expression"] == to_text(parse("square(y - p)"))


def test_other_coefficients_leave_the_rest_as_it_is():
    weight = torch.tensor([0.5, 8.0])
    loss = SymbolicLoss("-y*log(p)", softplus=True, weight=weight)
    doubled = loss.with_coefficients(2 * loss.coefficients)
    assert doubled.softplus
    assert torch.equal(doubled.weight, weight)
    assert torch.equal(doubled.coefficients, 2 * loss.coefficients)
    assert str(doubled).endswith("times weight=[0.5, 8] of the class")
