"""Metrics of decisions, against scikit-learn and torchmetrics."""

import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_jaccard_index

from lossforge.tasks.kinds import Classification, MultiLabel
from lossforge.tasks.metrics import as_metric

seeds = pytest.mark.parametrize("seed", range(4))


def rare(classes: int, seed: int, rows: int = 80):
    """Labels of which the higher are rarer."""
    draw = torch.Generator().manual_seed(seed)
    labels = (torch.rand(rows, generator=draw).square() * max(2, classes)).long()
    return torch.randn(2, rows, classes, generator=draw), labels


def said(outputs):
    return (outputs[:, 0] > 0).long() if outputs.shape[1] == 1 else outputs.argmax(1)


@seeds
@pytest.mark.parametrize("classes", [1, 2, 3, 6])
def test_f1_and_balanced_error_are_scikit_learn_s(seed, classes):
    outputs, labels = rare(classes, seed)
    average = "binary" if classes <= 2 else "macro"
    found = as_metric("f1", Classification()).values(outputs, labels)
    balanced = as_metric("balanced_error", Classification()).values(outputs, labels)
    for number in range(2):
        own = said(outputs[number])
        assert float(found[number]) == pytest.approx(sk.f1_score(labels, own, average=average))
        expected = 1 - sk.balanced_accuracy_score(labels, own)
        assert float(balanced[number]) == pytest.approx(expected)


@seeds
def test_labels_are_measured_each_and_averaged(seed):
    draw = torch.Generator().manual_seed(seed)
    outputs = torch.randn(2, 40, 3, generator=draw)
    targets = (torch.rand(40, 3, generator=draw) < 0.3).long()
    own = (outputs[1] > 0).long()
    f1 = as_metric("f1", MultiLabel()).values(outputs, targets)[1]
    assert float(f1) == pytest.approx(sk.f1_score(targets, own, average="macro", zero_division=0))
    iou = as_metric("miou", MultiLabel()).values(outputs, targets)[1]
    assert float(iou) == pytest.approx(sk.jaccard_score(targets, own, average="macro"))
    balanced = as_metric("balanced_error", MultiLabel()).values(outputs, targets)[1]
    each = [1 - sk.balanced_accuracy_score(targets[:, i], own[:, i]) for i in range(3)]
    assert float(balanced) == pytest.approx(sum(each) / 3)


@seeds
@pytest.mark.parametrize("classes", [2, 4])
def test_miou_of_pixels_is_torchmetrics_s(seed, classes):
    draw = torch.Generator().manual_seed(seed)
    outputs = torch.randn(1, 5, classes, 6, 6, generator=draw)
    labels = torch.randint(classes, (5, 6, 6), generator=draw)
    labels[0, 0] = -100
    found = as_metric("miou", Classification()).values(outputs, labels)[0]
    expected = multiclass_jaccard_index(outputs[0], labels, classes, ignore_index=-100)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_the_smooth_form_becomes_the_metric_as_margins_grow():
    outputs, labels = rare(3, 0)
    sure = torch.nn.functional.one_hot(outputs.argmax(-1), 3) * 100.0
    for name in ("f1", "balanced_error", "miou"):
        metric = as_metric(name, Classification())
        smooth = metric.smooth_costs(sure, labels)
        torch.testing.assert_close(smooth, metric.costs([(sure, labels)]), atol=0.01, rtol=0)


def test_the_smooth_form_tells_networks_with_the_same_decisions_apart():
    labels = torch.tensor([0, 0, 0, 1])
    sure = torch.tensor([[3.0, 0.0], [3.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    unsure = sure.clone()
    unsure[3] = torch.tensor([0.0, 0.1])
    for name in ("f1", "balanced_error", "miou"):
        metric, both = as_metric(name, Classification()), torch.stack([sure, unsure])
        assert metric.costs([(both, labels)]).tolist() == [0.0, 0.0]
        smooth = metric.smooth_costs(both, labels)
        assert smooth[0] < smooth[1]


def test_classes_that_are_nowhere_do_not_count():
    outputs = torch.tensor([[[2.0, 1.0, 0.0], [1.0, 2.0, 0.0]]])
    labels = torch.tensor([0, 1])
    for name in ("f1", "miou"):
        assert as_metric(name, Classification()).values(outputs, labels).tolist() == [1.0]
    assert as_metric("balanced_error", Classification()).values(outputs, labels).tolist() == [0.0]


def test_one_class_alone_is_its_share_that_is_wrong():
    metric = as_metric("balanced_error", Classification())
    assert metric.values(torch.tensor([[[1.0], [-1.0]]]), torch.tensor([1, 1])).tolist() == [0.5]


def test_a_network_that_never_predicts_a_rare_class_costs_more_than_one_that_does():
    labels = (torch.arange(300) % 30 == 0).long()
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(300, 1, generator=draw)
    # It puts the rare class nearest to being predicted, and predicts none.
    near = -2.0 + 0.05 * noise + 1.8 * labels[:, None]
    # It finds half of them, and is wrong now and then.
    half = -1.0 + noise / 2 + 1.6 * labels[:, None]
    metric = as_metric("f1", Classification())
    costs = metric.costs([(torch.stack([near, half]), labels)])
    assert costs[0] == 1
    assert costs[1] < 0.5
    margins = [float(metric.differentiable_cost(each, labels)) for each in (near, half)]
    assert margins[0] < margins[1]
    smooth = metric.smooth_costs(torch.stack([near, half]), labels)
    assert smooth[1] < smooth[0]
