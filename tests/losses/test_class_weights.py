"""Weights of classes by their numbers, from names to training."""

import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from lossforge.errors import ConfigurationError, UnknownNameError
from lossforge.losses import CrossEntropy, SparseLSR
from lossforge.losses.class_weights import check_weighting, class_weights
from lossforge.losses.resolve import resolve_loss
from lossforge.losses.storage import from_document, to_document
from lossforge.tasks import load
from lossforge.tasks.kinds import Classification, MultiLabel, Regression

LABELS = torch.tensor([0] * 12 + [1] * 3 + [2] * 5 + [-100] * 4)


def test_balanced_weights_are_scikit_learn_s():
    found = class_weights(LABELS, Classification(), 3, "balanced")
    counted = LABELS[:20].numpy()
    expected = compute_class_weight("balanced", classes=counted[[0, 12, 15]], y=counted)
    assert found.tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("weighting", ["balanced", "root"])
def test_the_mean_weight_of_a_row_is_one(weighting):
    weights = class_weights(LABELS, Classification(), 3, weighting)
    assert float(weights[LABELS[:20]].mean()) == pytest.approx(1)
    shares = torch.randn(30, 3).softmax(1)
    weights = class_weights(shares, Classification(), 3, weighting)
    assert float((shares @ weights).mean()) == pytest.approx(1, rel=1e-5)


def test_labels_have_weights_of_absence_and_presence():
    targets = torch.tensor([[1, 0], [0, 0], [0, 1], [0, -100]])
    weights = class_weights(targets, MultiLabel(), 2, "balanced")
    torch.testing.assert_close(weights, torch.tensor([[4 / 6, 2.0], [3 / 4, 3 / 2]]))


def test_a_loss_is_weighted_for_a_task():
    task = load("breast_cancer")
    loss = resolve_loss("cross_entropy:weight=balanced", task.kind)
    outputs, labels = torch.randn(len(task.train), 2), task.train.targets
    with pytest.raises(ConfigurationError, match="by their numbers in a task; call its for_task"):
        loss(outputs, labels)
    with pytest.raises(ConfigurationError, match="call its for_task"):
        SparseLSR().weighted("root")(outputs, labels)
    served = loss.for_task(task)
    weight = class_weights(labels, task.kind, 2, "balanced")
    expected = torch.nn.functional.cross_entropy(outputs, labels, weight)
    assert float(served(outputs, labels)) == pytest.approx(float(expected))
    assert str(served) == "cross_entropy:weight=balanced"


@pytest.mark.parametrize("name", ["cross_entropy:weight=root", "focal:gamma=2,weight=balanced"])
def test_a_weighting_is_in_the_name_and_the_file(name):
    loss = resolve_loss(name)
    assert str(loss) == name
    assert str(from_document(to_document(loss), "a test")) == name


def test_mistakes_are_told():
    with pytest.raises(UnknownNameError, match="no weighting of classes is named 'balance'"):
        check_weighting("balance")
    with pytest.raises(UnknownNameError, match="no weighting of classes is named '3'"):
        resolve_loss("focal:weight=3")
    with pytest.raises(ConfigurationError, match="regression has no classes to weigh"):
        class_weights(torch.ones(3), Regression(), 1, "balanced")
    with pytest.raises(ConfigurationError, match="pos_weight must be a tensor"):
        CrossEntropy(pos_weight=[1.0])
    with pytest.raises(ConfigurationError, match="a number for each label"):
        CrossEntropy(pos_weight=torch.ones(2), weight=torch.ones(3))
