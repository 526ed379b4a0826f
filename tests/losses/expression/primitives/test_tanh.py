import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses.expression.primitives.tanh import TANH
from lossforge.losses.expression.simplify import simplify
from lossforge.losses.expression.text import parse


@given(st.floats(-30, 30))
def test_its_derivatives_are_those_of_the_hyperbolic_functions(x):
    at = torch.tensor([x], dtype=torch.float64)
    squared_secant = at.cosh() ** -2
    torch.testing.assert_close(TANH.first(at)[0], squared_secant, rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(
        TANH.second(at)[0], -2 * at.tanh() * squared_secant, rtol=1e-9, atol=1e-15
    )


def test_the_algebra_knows_that_it_is_odd():
    assert simplify(parse("tanh(y - p) + tanh(p - y)")).text == "0"
    assert simplify(parse("tanh(p)")).latex == r"\tanh\left(p\right)"
