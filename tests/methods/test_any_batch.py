import pytest
import torch

from lossforge.errors import DataError
from lossforge.methods.any_batch import LABELS, as_pair

X, Y = torch.zeros(2, 3), torch.tensor([0, 1])


@pytest.mark.parametrize("batch", [(X, Y), [X, Y], [{"words": X}, Y], ((X, X), Y)])
def test_a_pair_is_as_it_is(batch):
    assert as_pair(batch) == (batch[0], batch[1])


@pytest.mark.parametrize("name", LABELS)
def test_a_mapping_is_its_other_entries_and_its_targets(name):
    inputs, targets = as_pair({"words": X, name: Y, "mask": X})
    assert list(inputs) == ["words", "mask"]
    assert targets is Y


def test_the_first_name_of_the_list_decides():
    inputs, targets = as_pair({"y": X, "labels": Y})
    assert list(inputs) == ["y"]
    assert targets is Y


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ({"words": X, "mask": X}, "no targets among words, mask"),
        ((X, Y, Y), "not a tuple of Tensor, Tensor, Tensor"),
        ((X, 3), "not a tuple of Tensor, int"),
        ("xy", "not a str"),
        (X, "not a Tensor"),
    ],
)
def test_what_is_no_batch_is_described(batch, says):
    with pytest.raises(DataError, match=says):
        as_pair(batch)
