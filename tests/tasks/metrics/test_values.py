"""R², against scikit-learn."""

import pytest
import torch
from sklearn.metrics import r2_score

from lossforge.tasks.kinds import Regression
from lossforge.tasks.metrics import as_metric


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_mean_over_the_outputs_is_scikit_learn_s(outputs):
    found, targets = torch.randn(2, 40, outputs), 3 + torch.randn(40, outputs)
    values = as_metric("r2", Regression()).values(found, targets)
    for one, value in zip(found, values, strict=True):
        assert float(value) == pytest.approx(r2_score(targets, one), rel=1e-5)


def test_targets_that_are_all_alike_have_none():
    values = as_metric("r2", Regression()).values(torch.randn(2, 5, 1), torch.ones(5))
    assert not bool(values.isfinite().any())
