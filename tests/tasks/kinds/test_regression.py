"""Regression: each output has a value of its own."""

import torch

from lossforge.tasks.kinds import Regression


def test_squared_error_is_smooth_as_it_is():
    outputs, targets = torch.randn(3, 20, 2), torch.randn(20, 2)
    kind = Regression()
    found = kind.smooth_scores(outputs, targets)
    assert torch.equal(found, kind.scores(outputs, targets).double().mean(-1))
