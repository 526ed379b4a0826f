"""Classes of examples and of positions."""

import pytest
import torch

from lossforge.tasks.kinds import Classification


def test_classes_stand_in_the_second_dimension():
    outputs, labels = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    rows = Classification().rows(outputs, labels)
    assert torch.equal(rows.outputs.view(2, 4, 5, 3)[1, 2, 3], outputs[1, :, 2, 3])
    assert torch.equal(rows.by_position(rows.targets), labels)
    y = Classification().encode(rows.targets, rows.outputs)
    assert torch.equal(y.argmax(1), labels.flatten())
    torch.testing.assert_close(Classification().predictions(rows.outputs).sum(1), torch.ones(40))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_labels_of_every_integer_type_serve(dtype):
    found = Classification().rows(torch.zeros(3, 3), torch.tensor([0, 2, 1], dtype=dtype))
    assert torch.equal(found.targets, torch.tensor([0, 2, 1]))


@pytest.mark.parametrize("index", [-100, 255, 1])
def test_what_is_ignored_is_in_no_row_that_counts(index):
    labels = torch.tensor([[0, 2], [index, index]])
    rows = Classification(index).rows(torch.zeros(2, 3, 2), labels)
    assert rows.ignored.tolist() == [False, False, True, True]
    assert int(rows.targets.max()) < 3
    assert len(Classification(index).scores(torch.zeros(2, 3, 2), labels)) == 2
    share = rows.averaged(torch.ones(4, 3))
    assert share[:, 0].tolist() == [0.5, 0.5, 0.0, 0.0]


def test_stacked_outputs_share_their_targets():
    outputs = torch.tensor([[[2.0, 1.0], [2.0, 1.0]], [[1.0, 2.0], [1.0, 2.0]]])
    found = Classification().scores(outputs, torch.tensor([0, 1]))
    assert found.tolist() == [[0.0, 1.0], [1.0, 0.0]]
