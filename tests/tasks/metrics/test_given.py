"""Metrics that a person gives: functions, and torchmetrics."""

import pytest
import torch
import torchmetrics
from sklearn.metrics import average_precision_score
from torchmetrics.classification import BinaryAUROC, MulticlassF1Score, MultilabelF1Score
from torchmetrics.regression import MeanSquaredError, R2Score

from lossforge.errors import ConfigurationError
from lossforge.tasks.kinds import Classification, MultiLabel, Regression
from lossforge.tasks.metrics import OwnMetric, as_metric


def precision(outputs, labels):
    return average_precision_score(labels, outputs[:, 1] - outputs[:, 0])


@pytest.mark.parametrize(
    ("kind", "theirs", "ours", "shape"),
    [
        (Classification(), BinaryAUROC(), "auroc", (40, 2)),
        (Classification(), BinaryAUROC(), "auroc", (40, 1)),
        (Classification(), MulticlassF1Score(4), "f1", (40, 4)),
        (
            Classification(),
            torchmetrics.JaccardIndex("multiclass", num_classes=3),
            "miou",
            (6, 3, 4, 4),
        ),
        (MultiLabel(), MultilabelF1Score(3), "f1", (40, 3)),
        (Regression(), MeanSquaredError(), "mse", (40, 1)),
        (Regression(), R2Score(), "r2", (40, 1)),
    ],
    ids=str,
)
def test_metrics_of_torchmetrics_are_ours(kind, theirs, ours, shape):
    outputs = torch.randn(2, *shape)
    targets = {
        "classification": torch.randint(max(2, shape[1]), (shape[0], *shape[2:])),
        "multilabel": torch.randint(2, shape),
        "regression": torch.randn(shape),
    }[kind.name]
    metric, known = as_metric(theirs, kind), as_metric(ours, kind)
    assert (metric.name, metric.is_maximized) == (type(theirs).__name__, known.is_maximized)
    torch.testing.assert_close(
        metric.values(outputs, targets), known.values(outputs, targets), atol=1e-5, rtol=1e-5
    )
    assert theirs.update_count == 0  # the metric that was given stays as it is


def test_a_function_is_called_for_each_network():
    metric = as_metric(OwnMetric(precision, maximize=True), "classification")
    outputs, labels = torch.randn(3, 30, 2), torch.randint(2, (30,))
    assert (metric.name, metric.direction) == ("precision", "higher is better")
    found = metric.values(outputs, labels).tolist()
    assert found == pytest.approx([precision(each, labels) for each in outputs])
    costs = metric.costs([(outputs, labels)])
    assert costs.tolist() == pytest.approx([1 - each for each in found])
    assert bool((metric.smooth_costs(outputs, labels) >= costs).all())


def test_ties_are_broken_by_the_kind_s_own_metric():
    metric = as_metric(OwnMetric(lambda *_: 1.0, maximize=False, name="constant"), Regression())
    near, far = torch.zeros(1, 5, 1), torch.full((1, 5, 1), 1e6)
    smooth = [metric.smooth_costs(each, torch.ones(5, 1)).item() for each in (near, far)]
    assert 1 <= smooth[0] < smooth[1] < 1.01


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: OwnMetric(precision), "whether more of the metric precision is better"),
        (lambda: OwnMetric(precision, maximize="yes"), "maximize=True"),
        (
            lambda: OwnMetric(3, maximize=True),
            'the metric is a int; give a name, such as "f1"',
        ),
        (lambda: OwnMetric(MeanSquaredError), "the class MeanSquaredError; give an instance"),
        (lambda: OwnMetric(torchmetrics.CatMetric()), "CatMetric is better is not known"),
        (lambda: as_metric(precision, "classification"), "OwnMetric"),
    ],
)
def test_mistakes_are_told(make, says):
    with pytest.raises(ConfigurationError, match=says):
        make()


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda outputs, labels: outputs[:, 7], "the metric mine failed for outputs .*: index 7"),
        (lambda outputs, labels: outputs, "the metric mine failed"),
        (lambda outputs, labels: None, "the metric mine failed"),
        (lambda outputs: 0.0, "takes 1 positional argument"),
    ],
)
def test_a_function_that_fails_is_told(function, says):
    metric = as_metric(OwnMetric(function, maximize=True, name="mine"), "classification")
    with pytest.raises(ConfigurationError, match=says):
        metric.values(torch.randn(1, 5, 2), torch.randint(2, (5,)))
