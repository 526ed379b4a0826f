"""Metrics that are means over rows, against scikit-learn."""

import pytest
import torch
from sklearn import metrics as sk

from lossforge.tasks.kinds import Classification, MultiLabel, Regression
from lossforge.tasks.metrics import as_metric


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [1, 2, 4])
def test_log_loss_and_accuracy_are_scikit_learn_s(seed, classes):
    draw = torch.Generator().manual_seed(seed)
    outputs = torch.randn(2, 50, classes, generator=draw, dtype=torch.float64)
    labels = torch.randint(max(2, classes), (50,), generator=draw)
    p = Classification().read(outputs[1]).numpy()
    said = (p[:, 0] > 0.5) if classes == 1 else p.argmax(1)
    found = as_metric("log_loss", "classification").values(outputs, labels)[1]
    expected = sk.log_loss(labels, p[:, 0] if classes == 1 else p, labels=range(max(2, classes)))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    accuracy = as_metric("accuracy", "classification").values(outputs, labels)[1]
    assert float(accuracy) == pytest.approx(sk.accuracy_score(labels, said))


def test_the_log_loss_of_shares_is_the_cross_entropy():
    outputs = torch.randn(1, 20, 3)
    shares = torch.randn(20, 3).softmax(1)
    found = as_metric("log_loss", Classification()).values(outputs, shares)
    expected = torch.nn.functional.cross_entropy(outputs[0], shares)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    single = as_metric("log_loss", Classification()).values(outputs[..., :1], shares[:, :1])
    binary = torch.nn.functional.binary_cross_entropy_with_logits(outputs[0, :, :1], shares[:, :1])
    assert float(single) == pytest.approx(float(binary), rel=1e-5)


def test_the_log_loss_of_labels_is_binary_cross_entropy():
    outputs, targets = torch.randn(1, 20, 3), torch.randint(2, (20, 3))
    found = as_metric("log_loss", MultiLabel()).values(outputs, targets)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(outputs[0], targets.float())
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_mean_absolute_errors():
    outputs, targets = torch.randn(1, 20, 3), torch.randn(20, 3)
    found = as_metric("mae", Regression()).values(outputs, targets)
    assert float(found) == pytest.approx(sk.mean_absolute_error(targets, outputs[0]), rel=1e-5)


@pytest.mark.parametrize("kind", [Classification(), MultiLabel(), Regression()], ids=str)
def test_a_kind_s_own_metric_is_as_its_kind_has_it(kind):
    metric = as_metric(None, kind)
    assert (metric.name, metric.is_rate) == (kind.metric, kind.metric_is_rate)
    assert not metric.is_maximized
