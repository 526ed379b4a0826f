import operator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses.expression.primitives.arithmetic import ADD, MUL, SUB
from lossforge.losses.expression.simplify import simplify
from lossforge.losses.expression.text import parse

numbers = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("primitive", "operation", "slopes"),
    [
        (ADD, operator.add, lambda a, b: (1, 1)),
        (SUB, operator.sub, lambda a, b: (1, -1)),
        (MUL, operator.mul, lambda a, b: (b, a)),
    ],
)
@given(a=numbers, b=numbers)
def test_values_and_slopes(primitive, operation, slopes, a, b):
    pair = [torch.tensor([x], dtype=torch.float64) for x in (a, b)]
    assert primitive.value(*pair).item() == operation(a, b)
    assert tuple(slope.item() for slope in primitive.first(*pair)) == slopes(a, b)
    bends = tuple(bend.item() for bend in primitive.second(*pair))
    assert bends == (0, 1 if primitive is MUL else 0, 0)


@given(a=numbers, b=numbers)
def test_a_difference_is_its_merged_sum(a, b):
    pair = [torch.tensor([x], dtype=torch.float64) for x in (a, b)]
    signed = [sign * x for sign, x in zip(SUB.merge.arguments, pair, strict=True)]
    assert SUB.merge.kernel == ADD.name
    assert torch.equal(SUB.value(*pair), SUB.merge.output * ADD.value(*signed))


def test_like_terms_are_collected():
    assert simplify(parse("(p + y) - (y + p)")).text == "0"
    assert simplify(parse("p*y - y*p")).text == "0"
