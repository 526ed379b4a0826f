import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses.expression.primitives.magnitude import ABS, SIGN
from lossforge.losses.expression.simplify import simplify
from lossforge.losses.expression.text import parse


@given(st.floats(-1e6, 1e6))
def test_a_number_is_its_sign_times_its_size(x):
    at = torch.tensor([x], dtype=torch.float64)
    assert (SIGN.value(at) * ABS.value(at)).item() == x
    assert torch.equal(ABS.first(at)[0], SIGN.value(at))
    assert SIGN.first(at)[0].item() == ABS.second(at)[0].item() == 0


def test_the_sign_of_nan_is_nan():
    assert math.isnan(SIGN.value(torch.tensor(math.nan)))


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("abs(y - p) - abs(p - y)", "0"),
        ("sign(y - p) + sign(p - y)", "0"),
        ("abs(p) - p", "0"),  # a probability
        ("sign(exp(y - p))", "1"),
        ("abs(-1*abs(y - p))", "|p - y|"),
    ],
)
def test_the_algebra_takes_factors_apart(text, simple):
    found = simplify(parse(text), labels=True).text
    assert found in (simple, simple.replace("p - y", "y - p"))
