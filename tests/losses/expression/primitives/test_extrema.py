import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses.expression.primitives.extrema import MAX, MIN
from lossforge.losses.expression.simplify import canonical, simplify
from lossforge.losses.expression.text import parse

numbers = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(("primitive", "reference"), [(MIN, torch.minimum), (MAX, torch.maximum)])
@given(a=numbers, b=numbers)
def test_values_and_slopes_are_pytorch_s(primitive, reference, a, b):
    pair = [torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in (a, b)]
    value = reference(*pair)
    assert torch.equal(primitive.value(*pair), value)
    for ours, theirs in zip(
        primitive.first(*pair), torch.autograd.grad(value.sum(), pair), strict=True
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("primitive", [MIN, MAX])
def test_ties_share_the_derivative(primitive):
    tie = torch.tensor([2.0])
    assert [slope.item() for slope in primitive.first(tie, tie)] == [0.5, 0.5]


@given(a=numbers, b=numbers)
def test_a_maximum_is_its_merged_minimum(a, b):
    pair = [torch.tensor([x], dtype=torch.float64) for x in (a, b)]
    signed = [sign * x for sign, x in zip(MAX.merge.arguments, pair, strict=True)]
    assert MAX.merge.kernel == MIN.name
    assert torch.equal(MAX.value(*pair), MAX.merge.output * MIN.value(*signed))


def test_two_forms_of_one_function_become_one():
    assert canonical(parse("max(y, p)")) == canonical(parse("-1*min(-1*y, -1*p)"))
    assert canonical(parse("max(y, p)")) != canonical(parse("-1*min(y, p)"))
    assert simplify(parse("max(p, p)")).text == "p"
