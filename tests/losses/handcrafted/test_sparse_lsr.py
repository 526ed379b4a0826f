import pytest
import torch

from lossforge.errors import FileFormatError
from lossforge.losses import SparseLSR, load, save, sparse_lsr
from lossforge.losses.storage import from_document, to_document

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(8) % 5


def test_it_is_the_function_with_the_same_arguments():
    weight = torch.rand(5, dtype=torch.float64)
    loss = SparseLSR(0.2, weight=weight, ignore_index=3)
    expected = sparse_lsr(LOGITS, LABELS, 0.2, weight=weight, ignore_index=3)
    torch.testing.assert_close(loss(LOGITS, LABELS), expected)


def test_weights_and_ignored_label_are_saved(tmp_path):
    loss = SparseLSR(0.2, weight=torch.arange(5.0), ignore_index=3)
    save(loss, tmp_path / "loss.json")
    again = load(tmp_path / "loss.json")
    assert again.definition() == loss.definition()
    torch.testing.assert_close(again(LOGITS, LABELS), loss(LOGITS, LABELS))


def test_an_ignored_label_that_is_no_integer_is_refused():
    document = to_document(SparseLSR()) | {"ignore_index": "none"}
    with pytest.raises(FileFormatError, match="ignore_index must be an integer"):
        from_document(document, "loss.json")
