"""AUROC and the calibration error, against scikit-learn and torchmetrics."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torchmetrics.functional.classification import multiclass_calibration_error

from lossforge.tasks.kinds import Classification, MultiLabel
from lossforge.tasks.metrics import as_metric


@given(st.integers(0, 999), st.integers(4, 60), st.integers(1, 6))
def test_the_area_is_scikit_learn_s_with_ties(seed, rows, values):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (rows,), generator=draw)
    labels[:2] = torch.tensor([0, 1])
    outputs = torch.randint(values, (1, rows, 1), generator=draw).double()
    found = as_metric("auroc", Classification()).values(outputs, labels)[0]
    assert float(found) == pytest.approx(roc_auc_score(labels, outputs[0, :, 0]))


@pytest.mark.parametrize("seed", range(3))
def test_several_classes_and_labels_are_averaged(seed):
    draw = torch.Generator().manual_seed(seed)
    outputs, labels = torch.randn(2, 60, 4, generator=draw), torch.randint(4, (60,), generator=draw)
    found = as_metric("auroc", Classification()).values(outputs, labels)[1]
    expected = roc_auc_score(labels, outputs[1].double().softmax(1), multi_class="ovr")
    assert float(found) == pytest.approx(expected)
    targets = torch.randint(2, (60, 4), generator=draw)
    found = as_metric("auroc", MultiLabel()).values(outputs, targets)[1]
    assert float(found) == pytest.approx(roc_auc_score(targets, outputs[1]))


def test_certain_outputs_still_have_an_order():
    outputs = torch.tensor([[[0.0, 200.0], [0.0, 300.0], [0.0, 400.0]]])
    found = as_metric("auroc", Classification()).values(outputs, torch.tensor([0, 0, 1]))
    assert found.tolist() == [1.0]


def test_there_is_no_area_without_counterexamples():
    outputs = torch.randn(2, 5, 2)
    found = as_metric("auroc", Classification()).values(outputs, torch.ones(5, dtype=torch.int64))
    assert bool(found.isnan().all())


@pytest.mark.parametrize("seed", range(3))
def test_the_calibration_error_is_torchmetrics_s(seed):
    draw = torch.Generator().manual_seed(seed)
    outputs = 3 * torch.randn(2, 200, 3, generator=draw)
    labels = torch.randint(3, (200,), generator=draw)
    found = as_metric("calibration_error", Classification()).values(outputs, labels)[1]
    expected = multiclass_calibration_error(outputs[1].softmax(1), labels, 3, n_bins=15)
    assert float(found) == pytest.approx(float(expected), rel=1e-4)
