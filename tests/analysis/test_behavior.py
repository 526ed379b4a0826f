"""What a loss does on the way from wrong to right, against what is known of known losses."""

import pytest
import torch

from lossforge.analysis.behavior import (
    calibration,
    is_bounded,
    is_convex,
    learning_rate_factor,
    path,
    rest_point,
)
from lossforge.losses import (
    Absolute,
    CrossEntropy,
    Focal,
    Huber,
    LabelSmoothing,
    SparseLSR,
    Squared,
    SymbolicLoss,
)


def test_cross_entropy_pulls_by_what_is_missing():
    way = path(CrossEntropy(), 10)
    torch.testing.assert_close(way.force, 1 - way.position)
    assert (way.position.diff() > 0).all()


@pytest.mark.parametrize("classes", [2, 10])
def test_squared_error_and_its_force(classes):
    way = path(Squared(), classes)
    torch.testing.assert_close(way.force, 2 * way.position.abs())
    torch.testing.assert_close(way.value, way.position.square())


@pytest.mark.parametrize("smoothing", [0.05, 0.1, 0.4])
@pytest.mark.parametrize("loss", [LabelSmoothing, SparseLSR])
def test_smoothing_rests_where_it_is_known_to(loss, smoothing):
    rest = rest_point(path(loss(smoothing), 10))
    assert rest == pytest.approx(1 - smoothing + smoothing / 10, abs=0.02)


@pytest.mark.parametrize("loss", [CrossEntropy(), Focal(2.0)])
def test_what_does_not_smooth_never_rests(loss):
    assert rest_point(path(loss, 10)) is None


def test_learning_rate_factors():
    assert learning_rate_factor(SymbolicLoss("-3*y*log(p)"), 10) == pytest.approx(3, rel=1e-4)
    assert learning_rate_factor(LabelSmoothing(0.2), 10) == pytest.approx(0.8)
    assert learning_rate_factor(Focal(2.0), 10) == pytest.approx(0.81 + 2 * 0.09 * 2.3026, rel=0.01)
    assert learning_rate_factor(Huber(0.5), 2) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("loss", "bounded", "convex"),
    [
        (Squared(), False, True),
        (Absolute(), True, True),
        (Huber(0.5), True, True),
        (SymbolicLoss("log(1 + square(y - p))", kind="regression"), True, False),
        (SymbolicLoss("square(y - p)*square(y - p)", kind="regression"), False, True),
        (CrossEntropy(), True, True),
        (SymbolicLoss("tanh(square(y - p))"), True, False),
    ],
)
def test_bounds_and_convexity_of_known_losses(loss, bounded, convex):
    assert is_bounded(path(loss, 10)) is bounded
    assert is_convex(loss, 10) is convex


def test_proper_losses_are_calibrated_and_give_the_posterior():
    for loss in (CrossEntropy(), SymbolicLoss("square(y - p)")):
        found = calibration(loss)
        assert found.agreement == 1
        assert found.distortion < 0.01


def test_focal_is_calibrated_but_distorts():
    found = calibration(Focal(2.0))
    assert found.agreement == 1
    assert found.distortion > 0.03


def test_a_loss_that_wants_the_opposite_is_not_calibrated():
    assert calibration(SymbolicLoss("y*log(p)")).agreement < 0.2
    assert calibration(SymbolicLoss("y*p")).agreement < 0.2
