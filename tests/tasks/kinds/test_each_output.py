"""Kinds of which each output is a row: weights, shapes and counts are the outputs'."""

import pytest
import torch

from lossforge.errors import DataError
from lossforge.tasks.kinds import MultiLabel, Regression

EACH = [MultiLabel(), Regression()]
each = pytest.mark.parametrize("kind", EACH, ids=str)


@each
def test_a_weight_of_an_output_is_that_of_its_rows(kind):
    outputs, targets = torch.zeros(2, 3, 4), torch.ones(2, 3, 4)
    rows = kind.rows(outputs, targets)
    weights = kind.row_weights(kind.term_weights(torch.tensor([1.0, 2.0, 3.0]), rows), rows)
    assert torch.equal(rows.by_position(weights)[1, :, 2], torch.tensor([1.0, 2.0, 3.0]))
    assert kind.row_shape(rows.shape) == outputs.shape


@pytest.mark.parametrize(
    ("kind", "word"), [(MultiLabel(), "label"), (Regression(), "output")], ids=str
)
def test_there_is_a_weight_for_each_output(kind, word):
    rows = kind.rows(torch.zeros(2, 3), torch.ones(2, 3))
    with pytest.raises(DataError, match=f"3 numbers, one for each {word}"):
        kind.term_weights(torch.ones(2), rows)


@each
def test_outputs_are_counted(kind):
    assert kind.count_outputs(torch.ones(5, 3)) == 3
    assert kind.count_outputs(torch.ones(5)) == 1
    assert kind.output_shape(9, torch.ones(5, 3)) == (5, 3)
