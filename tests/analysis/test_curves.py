"""A loss as curves, against formulas and central differences."""

import pytest
import torch

from lossforge.analysis.curves import EXAMPLE, NON_TARGET, TARGET, curves_of, default_curves
from lossforge.losses import (
    ADALFL_NETWORK,
    Focal,
    Huber,
    NeuralLoss,
    SquaredOutputs,
    SymbolicLoss,
)


def test_target_and_non_target_are_those_of_the_formula():
    target, other = curves_of(SymbolicLoss("add(mul(y, square(p)), 3*(1 - y)*p)"), 5)
    assert (target.name, other.name) == (TARGET, NON_TARGET)
    torch.testing.assert_close(target.value, target.p.square())
    torch.testing.assert_close(other.value, 3 * other.p)
    torch.testing.assert_close(other.slope, torch.full_like(other.p, 3))
    middle = slice(1, -1)  # central differences, exact for a parabola
    torch.testing.assert_close(target.slope[middle], 2 * target.p[middle])


@pytest.mark.parametrize("classes", [2, 10])
def test_a_loss_of_whole_rows_is_looked_at_by_the_targets_probability(classes):
    loss = SquaredOutputs()
    (curve,) = curves_of(loss, classes)
    assert curve.name == EXAMPLE
    logit = (curve.p * (classes - 1) / (1 - curve.p)).log()
    outputs = torch.cat([logit[:, None], torch.zeros(len(logit), classes - 1).double()], 1)
    torch.testing.assert_close(outputs.softmax(1)[:, 0], curve.p)
    labels = torch.zeros(len(logit), dtype=torch.long)
    torch.testing.assert_close(curve.value, loss.per_example(outputs, labels))


@pytest.mark.parametrize("delta", [0.5, 1.5])
def test_a_regression_loss_is_looked_at_by_the_error(delta):
    (curve,) = curves_of(Huber(delta), 1)
    beyond = delta * (curve.p.abs() - delta / 2)
    within = curve.p.square() / 2
    torch.testing.assert_close(curve.value, torch.where(curve.p.abs() <= delta, within, beyond))
    torch.testing.assert_close(curve.value, curve.value.flip(0))
    torch.testing.assert_close(curve.slope, -curve.slope.flip(0))


@pytest.mark.parametrize(
    "loss",
    [
        Focal(2.0),
        SymbolicLoss("-y*log(p)"),
        SquaredOutputs(),
        Huber(1.0),
        NeuralLoss(ADALFL_NETWORK),
    ],
    ids=str,
)
def test_curves_are_detached_float64_of_ascending_predictions(loss):
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    for curve in (*curves_of(loss, 3), *default_curves(loss, 3)):
        assert (curve.p.diff() > 0).all()
        for each in (curve.p, curve.value, curve.slope):
            assert each.dtype == torch.double
            assert not each.requires_grad
            assert each.isfinite().all()
    for name, value in loss.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    "loss", [Focal(2.0), SymbolicLoss("abs(y - p)"), SquaredOutputs(), Huber(1.0)], ids=str
)
def test_the_default_is_drawn_where_the_loss_is(loss):
    for own, known in zip(curves_of(loss, 4), default_curves(loss, 4), strict=True):
        assert own.name == known.name
        assert torch.equal(own.p, known.p)


def test_the_default_is_cross_entropy_as_a_sum_or_as_a_whole():
    target, other = default_curves(Focal(2.0), 4)
    torch.testing.assert_close(target.value, -target.p.log(), atol=1e-3, rtol=0)
    torch.testing.assert_close(other.value, torch.zeros_like(other.p))
    (whole,) = default_curves(SquaredOutputs(), 4)
    torch.testing.assert_close(whole.value, -whole.p.log())
