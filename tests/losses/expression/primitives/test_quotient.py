import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses.expression.primitives.quotient import AQ
from lossforge.losses.expression.simplify import simplify
from lossforge.losses.expression.text import parse

numbers = st.floats(-1e6, 1e6)


@given(numbers, numbers)
def test_it_is_the_analytic_quotient(a, b):
    found = AQ.value(*(torch.tensor([x], dtype=torch.float64) for x in (a, b)))
    torch.testing.assert_close(found.item(), a / math.hypot(1, b), rtol=1e-12, atol=1e-300)


def test_no_product_overflows_in_single_precision():
    """b³ alone would be beyond float32; the derivatives themselves are within it."""
    a, b = torch.tensor([1e14]), torch.tensor([1e14])
    torch.testing.assert_close(AQ.first(a, b)[1], torch.tensor([-1e-14]), rtol=1e-5, atol=0)
    torch.testing.assert_close(AQ.second(a, b)[2], torch.tensor([2e-28]), rtol=1e-5, atol=0)


def test_a_denominator_of_zero_divides_by_one():
    assert simplify(parse("aq(p, y - y)")).text == "p"
    assert simplify(parse("aq(p, y) + aq(-1*p, y)")).text == "0"
    assert simplify(parse("aq(p, y - p) - aq(p, p - y)"), labels=False).text == "0"
