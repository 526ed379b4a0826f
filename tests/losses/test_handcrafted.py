"""Handcrafted losses are PyTorch's where PyTorch has them."""

import pytest
import torch
import torch.nn.functional as F

from lossforge.errors import ConfigurationError
from lossforge.losses import (
    HANDCRAFTED,
    Absolute,
    CrossEntropy,
    Focal,
    Huber,
    LabelSmoothing,
    SparseLSR,
    Squared,
    default_loss,
)

LOGITS, LABELS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 5
VALUES = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
WANTED = torch.randn(8, 2, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_classification_losses_are_pytorch_s(reduction):
    expected = F.cross_entropy(LOGITS, LABELS, reduction=reduction)
    torch.testing.assert_close(CrossEntropy(reduction)(LOGITS, LABELS), expected)
    expected = F.cross_entropy(LOGITS, LABELS, reduction=reduction, label_smoothing=0.3)
    torch.testing.assert_close(LabelSmoothing(0.3, reduction)(LOGITS, LABELS), expected)


def test_regression_losses_sum_outputs_and_average_examples():
    for loss, function in ((Squared(), F.mse_loss), (Absolute(), F.l1_loss)):
        expected = function(VALUES, WANTED, reduction="none").sum(1).mean()
        torch.testing.assert_close(loss(VALUES, WANTED), expected)
    expected = F.huber_loss(VALUES, WANTED, reduction="none", delta=0.4).sum(1).mean()
    torch.testing.assert_close(Huber(0.4)(VALUES, WANTED), expected)


def test_focal_is_weighted_cross_entropy():
    p = LOGITS.softmax(1)[torch.arange(8), LABELS]
    torch.testing.assert_close(Focal(2.0)(LOGITS, LABELS), (-((1 - p) ** 2) * p.log()).mean())


@pytest.mark.parametrize("loss", [CrossEntropy(), LabelSmoothing(0.2), Focal(1.5)])
def test_one_output_is_the_logit_of_the_second_of_two_classes(loss):
    logit, label = torch.tensor([[0.7], [-2.0]]), torch.tensor([1, 0])
    pair = torch.cat([torch.zeros_like(logit), logit], 1)
    torch.testing.assert_close(loss(logit, label), loss(pair, label))


def test_names_are_what_the_command_line_takes():
    from lossforge.losses.named import named

    for make in HANDCRAFTED.values():
        assert str(named(str(make()))) == str(make())
    assert str(default_loss("classification")) == "cross_entropy"
    with pytest.raises(ConfigurationError, match="the options of huber are: delta"):
        named("huber:gamma=2")
    with pytest.raises(ConfigurationError, match="not a number"):
        named("huber:delta=wide")


@pytest.mark.parametrize(
    "make",
    [
        lambda: LabelSmoothing(1.5),
        lambda: SparseLSR(-0.1),
        lambda: Focal(-1.0),
        lambda: Huber(0.0),
        lambda: CrossEntropy("average"),
    ],
)
def test_numbers_out_of_range_are_refused(make):
    with pytest.raises(ConfigurationError):
        make()
