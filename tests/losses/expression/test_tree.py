from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError, ExpressionError
from lossforge.losses.expression.generate import grow_tree
from lossforge.losses.expression.primitives import ARITY, PRIMITIVES
from lossforge.losses.expression.tree import Expression, evaluate

expressions = st.integers(0, 10**6).map(lambda seed: grow_tree(6, Random(seed)))
LOSS = Expression(("mul", "y", "log", "p"))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "1 more argument"),
        (("mul", "y"), "1 more argument"),
        (("y", "p"), "complete before node 1"),
        (("log", "x"), "unknown symbol 'x' at node 1"),
    ],
)
def test_nodes_that_are_not_one_tree_are_refused(nodes: tuple[str, ...], message: str):
    with pytest.raises(ExpressionError, match=message):
        Expression(nodes)


def test_expressions_are_values():
    same = Expression(("mul", "y", "log", "p"))
    assert same == LOSS
    assert {LOSS: 1}[same] == 1
    with pytest.raises(AttributeError):
        LOSS.nodes = ("y",)


def test_shape_of_a_known_tree():
    assert (LOSS.size, LOSS.depth, LOSS.symbols) == (4, 2, {"mul", "y", "log", "p"})
    assert Expression(("1",)).depth == 0
    assert [LOSS.children(i) for i in range(4)] == [(1, 2), (), (3,), ()]
    assert [Expression(n).has_both_inputs for n in (("y",), ("p",), ("sub", "p", "y"))] == [0, 0, 1]


@given(expressions)
def test_size_and_depth_follow_from_children(expression: Expression):
    def measure(i: int) -> tuple[int, int]:
        parts = [measure(child) for child in expression.children(i)]
        return 1 + sum(size for size, _ in parts), 1 + max((d for _, d in parts), default=-1)

    assert measure(0) == (expression.size, expression.depth)


@given(expressions, st.data())
def test_a_subtree_is_itself_an_expression(expression: Expression, data: st.DataObject):
    i = data.draw(st.integers(0, expression.size - 1))
    subtree = expression.subtree(i)
    assert subtree == Expression(expression.nodes[expression.span(i)])
    assert expression.replace(i, subtree) == expression


@given(expressions, expressions, st.data())
def test_replacing_keeps_the_rest(old: Expression, other: Expression, data: st.DataObject):
    i = data.draw(st.integers(0, old.size - 1))
    new = old.replace(i, other)
    assert Expression(new.nodes).subtree(i) == other
    assert new.size == old.size - old.subtree(i).size + other.size
    assert new.replace(i, old.subtree(i)) == old


def recursive(expression: Expression, i: int, y, p, coefficients):
    symbol = expression.nodes[i]
    if symbol in PRIMITIVES:
        arguments = [recursive(expression, c, y, p, coefficients) for c in expression.children(i)]
        return coefficients[i] * PRIMITIVES[symbol].value(*arguments)
    return (
        coefficients[i]
        * {"y": y, "p": p, "1": torch.ones_like(p), "-1": -torch.ones_like(p)}[symbol]
    )


@given(expressions, st.integers(0, 100))
def test_evaluation_is_the_recursive_definition(expression: Expression, seed: int):
    generator = torch.Generator().manual_seed(seed)
    y, p = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    coefficients = torch.randn(expression.size, generator=generator, dtype=torch.float64)
    expected = recursive(expression, 0, y, p, coefficients)
    got = evaluate(expression, y, p, coefficients)
    assert got.shape == p.shape
    torch.testing.assert_close(got, expected)
    ones = torch.ones_like(coefficients)
    torch.testing.assert_close(evaluate(expression, y, p), evaluate(expression, y, p, ones))


@given(expressions)
def test_no_input_but_nan_gives_nan(expression: Expression):
    grid = torch.tensor([0.0, 1e-30, -1.0, 1e20, torch.inf, -torch.inf])
    y, p = torch.cartesian_prod(grid, grid).unbind(1)
    assert not evaluate(expression, y, p, torch.zeros(expression.size)).isnan().any()
    assert evaluate(expression, y, p).isfinite().all()


def test_evaluation_in_every_mode():
    y, p = torch.tensor([1.0, 2.0]).double(), torch.tensor([0.5, 3.0]).double()
    coefficients = torch.tensor([2.0, 1.0, 1.0, 1.0]).double()
    many = torch.stack([coefficients, 2 * coefficients])
    batch = torch.func.vmap(lambda c: evaluate(LOSS, y, p, c))(many)
    torch.testing.assert_close(batch[0], 2 * y * p.log(), rtol=0, atol=1e-7)
    _, tangent = torch.func.jvp(
        lambda p: evaluate(LOSS, y, p, coefficients), (p,), (torch.ones_like(p),)
    )
    torch.testing.assert_close(tangent, 2 * y / p, rtol=0, atol=1e-6)


def test_constants_take_the_shape_of_the_predictions():
    assert (
        evaluate(Expression(("-1",)), torch.zeros(2, 3), torch.zeros(2, 3)).tolist()
        == [[-1.0] * 3] * 2
    )


def test_a_wrong_number_of_coefficients_is_refused():
    with pytest.raises(ConfigurationError, match=r"shape \[3\]; the expression needs \[4\]"):
        evaluate(LOSS, torch.ones(1), torch.ones(1), torch.ones(3))


def test_the_language():
    language = {
        "add": 2, "sub": 2, "mul": 2, "aq": 2, "min": 2, "max": 2, "sign": 1, "square": 1,
        "abs": 1, "log": 1, "sqrt": 1, "tanh": 1, "y": 0, "p": 0, "1": 0, "-1": 0,
    }  # fmt: skip
    assert language.items() <= ARITY.items()
