import pytest
import torch

from lossforge.methods.warm_up import mistakes
from lossforge.tasks import Kind


@pytest.mark.parametrize(
    ("kind", "outputs", "targets", "expected"),
    [
        ("classification", [[2.0, 1.0], [0.0, 1.0]], [1, 1], 0.5),
        ("classification", [[2.0, 1.0], [0.0, 1.0]], [[0.1, 0.9], [0.2, 0.8]], 0.5),
        ("classification", [[-1.0], [2.0]], [0, 0], 0.5),
        ("classification", [[[2.0, 0.0], [1.0, 1.0]]], [[1, 1]], 0.5),
        ("regression", [[1.0], [3.0]], [1.0, 1.0], 2.0),
        ("regression", [[1.0, 5.0], [3.0, 5.0]], [[1.0, 5.0], [1.0, 5.0]], 1.0),
    ],
)
def test_a_trial_is_judged_by_mistakes_and_squared_errors(
    kind: Kind, outputs: list, targets: list, expected: float
):
    found = mistakes(torch.tensor(outputs), torch.tensor(targets), kind)
    assert found.item() == pytest.approx(expected)
