"""What every loss does around its values: reductions, ignored labels, sums over the outputs."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lossforge.errors import ConfigurationError, LossforgeError
from lossforge.losses import CrossEntropy, ElementwiseLoss, Squared
from lossforge.losses.loss import reduce, require_reduction

REDUCTIONS = ("mean", "sum", "none")


class Absolute(ElementwiseLoss):
    """The absolute difference of y and p."""

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        return (y - p).abs()

    def definition(self) -> dict[str, object]:
        return {}

    def __str__(self) -> str:
        return "|y - p|"


@pytest.mark.parametrize("reduction", REDUCTIONS)
@given(seed=st.integers(0, 999), share=st.floats(0, 0.9))
@settings(max_examples=25)
def test_ignored_labels_are_left_out_as_in_pytorch(reduction, seed, share):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(4, 3, 5, generator=generator, dtype=torch.float64)
    targets = torch.randint(3, (4, 5), generator=generator)
    targets[0, 0] = 0
    hidden = torch.rand(4, 5, generator=generator) < share
    hidden[0, 0] = False
    targets[hidden] = -100
    expected = F.cross_entropy(outputs, targets, reduction=reduction)
    torch.testing.assert_close(CrossEntropy(reduction=reduction)(outputs, targets), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ignored_positions_have_no_gradient(reduction):
    outputs = torch.randn(3, 2, requires_grad=True)
    targets = torch.tensor([0, -100, 1])
    CrossEntropy(reduction=reduction)(outputs, targets).sum().backward()
    assert not outputs.grad[1].any()
    assert outputs.grad[[0, 2]].all()


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_an_elementwise_loss_is_the_sum_over_the_outputs(kind):
    if kind == "classification":
        outputs, targets = torch.randn(5, 3, dtype=torch.float64), torch.randint(3, (5,))
        y, p = F.one_hot(targets, 3).double(), outputs.softmax(1)
    else:
        outputs, targets = torch.randn(2, 5, 1, dtype=torch.float64)
        y, p = targets, outputs
    expected = (y - p).abs().sum(1)
    torch.testing.assert_close(Absolute(kind, "none")(outputs, targets).flatten(), expected)
    torch.testing.assert_close(Absolute(kind)(outputs, targets), expected.mean())


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=9))
def test_values_are_reduced(numbers):
    values = torch.tensor(numbers, dtype=torch.float64)
    assert reduce(values, "mean").item() == pytest.approx(sum(numbers) / len(numbers))
    assert reduce(values, "sum").item() == pytest.approx(sum(numbers))
    assert reduce(values, "none") is values


def test_other_kinds_and_reductions_are_refused():
    with pytest.raises(ConfigurationError, match="reduction must be mean, sum or none, not 'max'"):
        require_reduction("max")
    with pytest.raises(ConfigurationError, match="reduction"):
        Squared(reduction="max")
    with pytest.raises(LossforgeError, match="ranking"):
        Absolute("ranking")


def test_a_loss_without_large_weights_has_none():
    assert Absolute("regression").weights() == {}
