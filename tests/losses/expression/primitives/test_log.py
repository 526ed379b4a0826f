import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses.expression.primitives import EPSILON
from lossforge.losses.expression.primitives.log import LOG
from lossforge.losses.expression.simplify import simplify
from lossforge.losses.expression.text import parse


@given(st.floats(-1e6, 1e6))
def test_it_is_the_softened_logarithm_and_even(x):
    both = LOG.value(torch.tensor([x, -x], dtype=torch.float64))
    expected = math.log(math.hypot(x, EPSILON))
    torch.testing.assert_close(both, torch.full_like(both, expected), rtol=1e-12, atol=1e-12)


def test_it_is_smooth_at_zero():
    zero = torch.zeros(1, dtype=torch.float64)
    torch.testing.assert_close(LOG.value(zero).item(), math.log(EPSILON))
    assert LOG.first(zero)[0].item() == 0.0
    torch.testing.assert_close(LOG.second(zero)[0].item(), EPSILON**-2)


def test_the_algebra_knows_that_it_is_even():
    assert simplify(parse("log(y - p) - log(p - y)")).text == "0"
    assert simplify(parse("log(p)")).latex == r"\log\left|p\right|"
