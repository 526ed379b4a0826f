"""The pair (y, p) and the maps between derivatives by p and by the outputs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import DataError
from lossforge.losses.preparation import (
    encode_targets,
    predictions,
    pull_back,
    push_forward,
)

KINDS = ("classification", "regression")


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 99), st.sampled_from([1, 2, 5]))
def test_pull_back_and_push_forward_are_the_jacobian_s(kind, seed, classes):
    draw = torch.Generator().manual_seed(seed)
    outputs, direction, cotangent = torch.randn(3, 4, classes, generator=draw, dtype=torch.float64)
    p, tangent = torch.func.jvp(lambda f: predictions(f, kind), (outputs,), (direction,))
    torch.testing.assert_close(push_forward(direction, p, kind), tangent)
    _, vjp = torch.func.vjp(lambda f: predictions(f, kind), outputs)
    torch.testing.assert_close(pull_back(cotangent, p, kind), vjp(cotangent)[0])


def test_classes_stand_in_the_second_dimension():
    outputs = torch.randn(2, 3, 4, 5)
    p = predictions(outputs, "classification")
    torch.testing.assert_close(p.sum(1), torch.ones(2, 4, 5))
    y = encode_targets(torch.zeros(2, 4, 5, dtype=torch.long), outputs, "classification")
    assert y.shape == outputs.shape
    assert y[:, 0].all()


@pytest.mark.parametrize(
    ("targets", "outputs", "kind", "says"),
    [
        (torch.tensor([3]), torch.zeros(1, 3), "classification", "outside 0 to 2"),
        (torch.tensor([-1]), torch.zeros(1, 3), "classification", "outside 0 to 2"),
        (torch.tensor([0.0]), torch.zeros(1, 3), "classification", r"\.long\(\)"),
        (torch.tensor([0, 1]), torch.zeros(1, 3), "classification", "do not fit"),
        (torch.zeros(4), torch.zeros(4, 2), "regression", "do not fit"),
        (torch.zeros(4, 3), torch.zeros(4, 2), "regression", "do not fit"),
    ],
)
def test_targets_that_do_not_fit_are_told(targets, outputs, kind, says):
    with pytest.raises(DataError, match=says):
        encode_targets(targets, outputs, kind)


def test_half_precision_becomes_single():
    assert predictions(torch.zeros(1, 2).bfloat16(), "classification").dtype == torch.float32
    assert predictions(torch.zeros(1, 2).double(), "regression").dtype == torch.float64
