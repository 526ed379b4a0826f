"""What handcrafted losses share: names, numbers within their ranges, a second logit of zero."""

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.losses import (
    HANDCRAFTED,
    Barron,
    Cauchy,
    CrossEntropy,
    Focal,
    GeneralizedCrossEntropy,
    Huber,
    LabelSmoothing,
    LogCosh,
    Poly1,
    SparseLSR,
    SquaredOutputs,
    StudentT,
    SymmetricCrossEntropy,
)
from lossforge.losses.handcrafted.base import Classification, registered
from lossforge.losses.resolve import resolve_loss

EVERY = pytest.mark.parametrize("make", HANDCRAFTED.values(), ids=lambda make: make.name)


@EVERY
def test_names_are_what_the_command_line_takes(make):
    assert str(resolve_loss(str(make()))) == str(make())


@EVERY
def test_numbers_have_defaults_and_ranges_that_hold_them(make):
    loss = make()
    for setting in make.settings:
        value = loss.options()[setting.name]
        if setting.low is not None:
            assert setting.low <= value <= setting.high
            assert make(**{setting.name: setting.low}).options()[setting.name] == setting.low
            assert make(**{setting.name: setting.high}).options()[setting.name] == setting.high
            assert setting.low > 0 or not setting.logarithmic


@EVERY
def test_the_sum_of_the_outputs_terms_is_the_loss(make):
    if not issubclass(make, Classification):
        pytest.skip("for losses of probabilities")
    loss = make()
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    y = torch.nn.functional.one_hot(labels, 4).double()
    terms = loss.elementwise(y, logits.softmax(1))
    torch.testing.assert_close(terms.sum(1), loss.per_example(logits, labels))


@pytest.mark.parametrize(
    "make", [make for make in HANDCRAFTED.values() if issubclass(make, Classification)]
)
def test_one_output_is_the_logit_of_the_second_of_two_classes(make):
    loss = make()
    logit, label = torch.tensor([[0.7], [-2.0]]), torch.tensor([1, 0])
    pair = torch.cat([torch.zeros_like(logit), logit], 1)
    torch.testing.assert_close(loss(logit, label), loss(pair, label))


def test_mistakes_in_options_are_told():
    with pytest.raises(ConfigurationError, match="the options of huber are: delta"):
        resolve_loss("huber:gamma=2")
    with pytest.raises(ConfigurationError, match="the options of barron are: alpha, scale"):
        resolve_loss("barron:beta=2")
    with pytest.raises(ConfigurationError, match="not a number"):
        resolve_loss("huber:delta=wide")


@pytest.mark.parametrize(
    "make",
    [
        lambda: LabelSmoothing(1.5),
        lambda: SparseLSR(-0.1),
        lambda: Focal(-1.0),
        lambda: Huber(0.0),
        lambda: Poly1(-1.5),
        lambda: GeneralizedCrossEntropy(0.0),
        lambda: SymmetricCrossEntropy(alpha=-1.0),
        lambda: SquaredOutputs(scale=0.0),
        lambda: SquaredOutputs(target_weight=0.0),
        lambda: LogCosh(0.0),
        lambda: Cauchy(-1.0),
        lambda: StudentT(df=0.0),
        lambda: Barron(alpha=2.5),
        lambda: CrossEntropy("average"),
    ],
)
def test_numbers_out_of_range_are_refused(make):
    with pytest.raises(ConfigurationError):
        make()


def test_losses_are_found_in_a_namespace_and_ordered():
    found = registered({"b": Focal, "a": Huber, "c": CrossEntropy, "d": 3, "e": Classification})
    assert list(found) == ["cross_entropy", "focal", "huber"]
