import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses.expression.primitives import EPSILON
from lossforge.losses.expression.primitives.sqrt import SQRT
from lossforge.losses.expression.simplify import simplify
from lossforge.losses.expression.text import parse


@given(st.floats(-1e6, 1e6))
def test_it_is_the_softened_root_and_even(x):
    both = SQRT.value(torch.tensor([x, -x], dtype=torch.float64))
    expected = math.sqrt(math.hypot(x, EPSILON))
    torch.testing.assert_close(both, torch.full_like(both, expected), rtol=1e-12, atol=1e-12)


def test_it_is_smooth_at_zero():
    zero = torch.zeros(1, dtype=torch.float64)
    torch.testing.assert_close(SQRT.value(zero).item(), math.sqrt(EPSILON))
    assert SQRT.first(zero)[0].item() == 0.0
    # (x² + ε²)^¼ bends by ½ ε^(-3/2).
    torch.testing.assert_close(SQRT.second(zero)[0].item(), 0.5 * EPSILON**-1.5)


def test_the_algebra_knows_that_it_is_even_and_positive():
    assert simplify(parse("sqrt(y - p) - sqrt(p - y)")).text == "0"
    assert simplify(parse("sign(sqrt(y*p))")).text == "1"
