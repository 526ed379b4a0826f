"""Rows of a batch: reductions are PyTorch's, and directions come back where they were."""

import pytest
import torch
import torch.nn.functional as F

from lossforge.errors import DataError
from lossforge.tasks.kinds import as_kind

OUTPUTS = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = (torch.arange(20) % 3).view(4, 5)
PADDED = LABELS.masked_fill(torch.arange(20).view(4, 5) % 4 == 0, -100)


@pytest.mark.parametrize("labels", [LABELS, PADDED], ids=["all", "padded"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions_are_those_of_pytorch(reduction, labels):
    rows = as_kind("classification").rows(OUTPUTS, labels)
    values = F.cross_entropy(rows.outputs, rows.targets, reduction="none")
    expected = F.cross_entropy(OUTPUTS, labels, reduction=reduction)
    torch.testing.assert_close(rows.reduced(values, None, reduction), expected)
    if reduction == "mean":
        torch.testing.assert_close(rows.mean(values), expected)
        torch.testing.assert_close(rows.averaged(values[:, None]).sum(), expected)
    assert len(rows.counted(values)) == int((labels != -100).sum())


def test_a_direction_comes_back_as_it_was():
    rows = as_kind("classification").rows(OUTPUTS, LABELS)
    direction = torch.randn(2, *OUTPUTS.shape)
    assert torch.equal(rows.restored(rows.flattened(direction)), direction)


def test_weights_are_of_examples_or_of_rows():
    rows = as_kind("classification").rows(OUTPUTS, LABELS)
    of_examples = torch.tensor([1.0, 2.0, 3.0, 4.0])
    expected = of_examples[:, None].expand(4, 5).reshape(-1)
    assert torch.equal(rows.sample_weights(of_examples), expected)
    assert torch.equal(rows.sample_weights(expected.view(4, 5)), expected)
    with pytest.raises(DataError, match="sample weights of shape"):
        rows.sample_weights(torch.ones(5))
