import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses.expression.primitives.square import SQUARE
from lossforge.losses.expression.simplify import simplify
from lossforge.losses.expression.text import parse


@given(st.floats(-1e6, 1e6))
def test_its_derivatives_are_twice_the_input_and_two(x):
    at = torch.tensor([x], dtype=torch.float64)
    assert SQUARE.value(at).item() == x * x
    assert SQUARE.first(at)[0].item() == 2 * x
    assert SQUARE.second(at)[0].item() == 2


def test_a_square_is_a_power_of_two_in_formulas():
    assert simplify(parse("square(y - p) - square(p - y)")).text == "0"
    assert simplify(parse("square(p)"), labels=False).text == "p²"
    assert simplify(parse("square(y)"), labels=True).text == "y"
