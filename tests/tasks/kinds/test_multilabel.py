"""Several labels of an example."""

import pytest
import torch

from lossforge.tasks.kinds import MultiLabel


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_labels_of_which_nothing_is_known_are_ignored(dtype):
    targets = torch.tensor([[1, -100], [0, 1]], dtype=dtype)
    rows = MultiLabel().rows(torch.zeros(2, 2), targets)
    assert rows.ignored.tolist() == [False, True, False, False]


@pytest.mark.parametrize("seed", range(3))
def test_f1_is_scikit_learn_s(seed):
    from sklearn.metrics import f1_score

    draw = torch.Generator().manual_seed(seed)
    outputs = torch.randn(20, 3, generator=draw)
    targets = torch.randint(2, (20, 3), generator=draw)
    found = MultiLabel().measures(outputs, targets)
    said = (outputs > 0).int().numpy()
    expected = f1_score(targets.numpy(), said, average=None, zero_division=0)
    assert found["f1_by_label"] == pytest.approx(expected.tolist())
    assert found["f1"] == pytest.approx(f1_score(targets.numpy(), said, average="macro"))
    wrong = (said != targets.numpy()).mean(0)
    assert found["error_rate_by_label"] == pytest.approx(wrong.tolist())


def test_unknown_labels_are_in_no_measure():
    outputs, targets = torch.tensor([[1.0], [1.0], [-1.0]]), torch.tensor([[1], [-100], [0]])
    found = MultiLabel().measures(outputs, targets)
    assert found == {
        "error_rate": 0.0,
        "f1": 1.0,
        "error_rate_by_label": [0.0],
        "f1_by_label": [1.0],
    }
