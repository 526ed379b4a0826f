"""Known losses are recognized however they are written; unknown ones are not taken for known."""

import pytest
import torch
from torch import Tensor

from lossforge.analysis.nearest import (
    at_mistakes,
    compare,
    least_probability,
    mixture,
    nearest,
    sample,
    ties,
)
from lossforge.losses import (
    HANDCRAFTED,
    Absolute,
    Barron,
    CrossEntropy,
    Focal,
    Huber,
    LabelSmoothing,
    Loss,
    Poly1,
    SparseLSR,
    Squared,
    SquaredOutputs,
    SquaredProbability,
    StudentT,
    SymbolicLoss,
    SymmetricCrossEntropy,
)

HUBER = "min(abs({e}), {d})*(abs({e}) - 0.5*min(abs({e}), {d}))"

DISGUISES = [
    # Cross-entropy: scaled, shifted, with y rewritten (labels are 0 or 1), with log rewritten.
    ("-y*log(p)", "cross_entropy", None),
    ("7 - 3*y*log(p)", "cross_entropy", None),
    ("-0.001*log(p)*y - 40", "cross_entropy", None),
    ("-square(y)*log(p)", "cross_entropy", None),
    ("-y*y*y*log(p)", "cross_entropy", None),
    ("-y*log(p*p)", "cross_entropy", None),
    ("-2*y*log(sqrt(p))", "cross_entropy", None),
    ("-y*log(5*p)", "cross_entropy", None),
    ("y*abs(log(p))", "cross_entropy", None),
    ("-y*log(p) + 3*p", "cross_entropy", None),  # probabilities sum to one
    ("-y*log(p) + y - y*y + sign(y)", "cross_entropy", None),
    ("-log(y*p + 1 - y)", "cross_entropy", None),
    ("max(-y*log(p), -1)", "cross_entropy", None),
    # Label smoothing for ten classes.
    ("-(0.9*y + 0.01)*log(p)", "label_smoothing", 0.1),
    ("5 - 2*(0.9*y + 0.01)*log(p)", "label_smoothing", 0.1),
    ("-0.8*y*log(p) - 0.02*log(p)", "label_smoothing", 0.2),
    ("-y*log(p)*0.95 - 0.005*log(p) + 3*p", "label_smoothing", 0.05),
    ("-(y + 0.1)*log(3*p)", "label_smoothing", 0.5),
    ("-log(p)*(0.7*square(y) + 0.03)", "label_smoothing", 0.3),
    # Focal.
    ("-y*square(1 - p)*log(p)", "focal", 2.0),
    ("-y*(1 - p)*log(p)", "focal", 1.0),
    ("-y*sqrt(1 - p)*log(p)", "focal", 0.5),
    ("3 - 0.2*y*(1 - p)*square(1 - p)*log(p)", "focal", 3.0),
    ("-y*square(y - p)*log(p)", "focal", 2.0),
    ("-y*abs(y - p)*log(p) + 2", "focal", 1.0),
    # Sparse label smoothing for ten classes: 1 - 0.09 and 0.09.
    ("-y*(0.91*log(p) + 0.09*log(1 - p))", "sparse_lsr", 0.1),
    ("4 - y*(1.82*log(p) + 0.18*log(y - p))", "sparse_lsr", 0.1),
    # Brier and the absolute difference.
    ("square(y - p)", "squared_probability", None),
    ("0.1*p*p - 0.2*p*y + 9", "squared_probability", None),
    ("abs(p - y)", "absolute_probability", None),
    ("-3*y*p + 1", "absolute_probability", None),
    # Regression.
    ("square(y - p)", "mse", None),
    ("3*y*y - 6*y*p + 3*p*p + 1", "mse", None),
    ("abs(y - p)", "mae", None),
    ("2*max(y, p) - 2*min(y, p) - 1", "mae", None),
    ("0.5*(y - p)*sign(y - p)", "mae", None),
    (HUBER.format(e="(y - p)", d=1.0), "huber", 1.0),
    (f"1 - -4*{HUBER.format(e='(p - y)', d=0.3)}", "huber", 0.3),
    (HUBER.format(e="(2*y - 2*p)", d=1.0), "huber", 0.5),
    ("square(y - p) - square(max(abs(y - p) - 0.5, 0*y))", "huber", 0.5),
    ("log(1 + square(y - p))", "cauchy", 1.0),
    ("5 - 2*log(aq(1, (2*y - 2*p)))", "cauchy", 0.5),
]
REGRESSION = {"mse", "mae", "huber", "cauchy"}


def test_there_are_enough_disguises():
    assert len(DISGUISES) >= 30
    assert len({text for text, *_ in DISGUISES}) >= len(DISGUISES) - 1


@pytest.mark.parametrize(("text", "name", "parameter"), DISGUISES)
def test_disguised_losses_are_named_with_their_parameter(text, name, parameter):
    kind = "regression" if name in REGRESSION else "classification"
    best = nearest(SymbolicLoss(text, kind=kind))[0]
    assert best.name.partition(":")[0] == name
    assert best.residual < 0.03
    assert best.factor > 0
    if parameter is None:
        assert best.parameter is None
    else:
        assert best.parameter == pytest.approx(parameter, rel=0.05)


@pytest.mark.parametrize("classes", [2, 5, 100])
@pytest.mark.parametrize("loss", [CrossEntropy(), LabelSmoothing(0.3), SparseLSR(0.2), Focal(2.0)])
def test_handcrafted_losses_are_themselves_for_any_number_of_classes(loss, classes):
    if classes == 2 and isinstance(loss, SparseLSR):
        pytest.skip("with two classes, sparse and common smoothing are one")
    best = nearest(loss, classes)[0]
    assert best.name == str(loss)
    assert best.residual < 1e-3


@pytest.mark.parametrize("loss", [Squared(), Absolute(), Huber(0.3)])
def test_handcrafted_regression_losses_are_themselves(loss):
    best = nearest(loss)[0]
    assert (best.name, best.residual < 1e-6) == (str(loss), True)
    assert best.factor == pytest.approx(1, abs=1e-3)


def test_the_factor_is_that_of_the_learning_rate():
    assert nearest(SymbolicLoss("-0.25*y*log(p)"))[0].factor == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("text", ["p*y", "y*log(p)", "p*p*p*p - 3*y*y", "1", "0*p"])
def test_losses_that_teach_otherwise_are_not_taken_for_known_ones(text):
    assert nearest(SymbolicLoss(text))[0].residual > 0.3


class Disguised(Loss):
    """Twice a loss and 3 more, which nothing but its gradients gives away."""

    def __init__(self, loss: Loss):
        super().__init__(loss.kind)
        self.loss = loss

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return 2 * self.loss.per_row(outputs, targets) + 3

    def definition(self) -> dict[str, object]:
        raise NotImplementedError

    def __str__(self) -> str:
        return "disguised"


@pytest.mark.parametrize("make", HANDCRAFTED.values(), ids=lambda make: make.name)
@pytest.mark.parametrize("disguised", [False, True])
def test_every_handcrafted_loss_is_nearest_to_itself(make, disguised):
    loss = make()
    matches = nearest(Disguised(loss) if disguised else loss)
    known = {match.name: match for match in (matches[0], *ties(matches))}
    assert str(loss) in known, matches[:3]
    assert known[str(loss)].residual < 1e-3
    assert known[str(loss)].factor == pytest.approx(2 if disguised else 1, rel=1e-2)
    assert disguised or matches[0].name == str(loss)


def test_losses_that_are_one_up_to_a_factor_are_told_as_ties():
    matches = nearest(SymmetricCrossEntropy(alpha=1.0, beta=0.5))
    assert matches[0].name == "symmetric_cross_entropy:alpha=1,beta=0.5"
    assert "poly1:epsilon=2" in [match.name for match in ties(matches)]
    matches = nearest(Disguised(StudentT(df=4.0)))
    assert matches[0].name == "cauchy:scale=2"
    assert "student_t:df=4,scale=1" in [match.name for match in ties(matches)]


@pytest.mark.parametrize(
    "loss", [Barron(-2.0, 0.5), SquaredOutputs(2.0, 5.0), SquaredOutputs(30.0, 15.0)]
)
def test_two_numbers_are_fitted_together(loss):
    best = nearest(Disguised(loss))[0]
    assert best.residual < 1e-3
    assert best.options == pytest.approx(loss.options(), rel=0.02)
    assert str(best.known_loss.double()) == best.name


class Sum(Disguised):
    """The weighted sum of two losses."""

    def __init__(self, first: tuple[float, Loss], second: tuple[float, Loss]):
        super().__init__(first[1])
        self.parts = (first, second)

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        first, second = (a * loss.per_row(outputs, targets) for a, loss in self.parts)
        return first + second


@pytest.mark.parametrize(
    ("usual", "factors", "other", "options"),
    [
        (CrossEntropy(), (3.0, 0.5), Focal(2.0), {"gamma": 2.0}),
        (CrossEntropy(), (1.0, 2.0), SquaredProbability(), {}),
        (Squared(), (0.1, 1.0), Absolute(), {}),
        (Squared(), (0.05, 1.0), Huber(0.2), {"delta": 0.2}),
    ],
)
def test_mixtures_are_told_with_their_factors(usual, factors, other, options):
    loss = Sum((factors[0], usual), (factors[1], other))
    best = nearest(loss)[0]
    found = mixture(loss, best)
    assert found is not None
    assert found.residual < 0.3 * best.residual
    name, _, number = found.other.partition(":")
    assert name == other.name
    assert found.factors == pytest.approx(factors, rel=0.05)
    for value in options.values():
        assert float(number.partition("=")[2]) == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize(
    "loss", [CrossEntropy(), Disguised(Poly1(2.0)), SymbolicLoss("y*log(p)"), SymbolicLoss("1")]
)
def test_single_losses_and_unlike_ones_are_no_mixtures(loss):
    assert mixture(loss, nearest(loss)[0]) is None


def test_opposite_gradients_share_nothing():
    one = torch.randn(9, 3, dtype=torch.double)
    residual, factor = compare(one, -one)
    assert (residual, factor) == (1.0, 0.0)
    assert compare(one, 2 * one) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.5))
    assert compare(0 * one, one) == (1.0, 0.0)


class Timid(Loss):
    """Cross-entropy that does not pull harder at a probability below `least`."""

    def __init__(self, least: float):
        super().__init__("classification")
        self.least = least

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        p = outputs.softmax(-1).gather(1, targets[:, None])[:, 0]
        # Below, the tangent: the slope in p stays.
        return torch.where(p > self.least, -p.clamp_min(1e-12).log(), (self.least - p) / self.least)

    def definition(self) -> dict[str, object]:
        raise NotImplementedError

    def __str__(self) -> str:
        return "timid"


def test_a_loss_that_gives_up_confident_mistakes_is_seen_through():
    best = nearest(Timid(0.02))[0]
    assert (best.name, best.residual < 1e-6) == ("cross_entropy", True)
    left = at_mistakes(Timid(0.02), best)
    assert left is not None
    assert left > 0.3
    with_mistakes = nearest(Timid(0.02), with_mistakes=True)[0]
    assert with_mistakes.residual > 0.05


@pytest.mark.parametrize("classes", [3, 10, 40])
@pytest.mark.parametrize("loss", [CrossEntropy(), LabelSmoothing(0.2), SquaredOutputs()])
def test_a_known_loss_is_itself_at_confident_mistakes(loss, classes):
    left = at_mistakes(loss, nearest(loss, classes)[0], classes)
    assert left is not None
    assert left < 0.01


def test_regression_knows_no_confident_mistakes():
    assert at_mistakes(Squared(), nearest(Squared())[0]) is None


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_confident_mistakes_are_a_part_of_the_sample(classes):
    outputs, targets = sample(CrossEntropy(), classes, with_mistakes=True)
    ordinary, _ = sample(CrossEntropy(), classes)
    p = outputs.softmax(1).gather(1, targets[:, None])[:, 0]
    assert len(ordinary) == int((p > least_probability(classes)).sum()) < len(outputs)
