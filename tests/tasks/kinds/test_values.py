"""Values: the dimension of a single output may be left out; labels are nowhere."""

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.tasks.kinds import Regression


def test_targets_may_lack_the_dimension_of_a_single_output():
    outputs, targets = torch.randn(6, 1), torch.randn(6)
    found = Regression().rows(outputs, targets)
    assert torch.equal(found.targets, Regression().rows(outputs, targets[:, None]).targets)


def test_values_have_no_ignored_label():
    assert Regression().ignored_label is None
    with pytest.raises(ConfigurationError, match="no labels"):
        Regression().with_ignore_index(3)
