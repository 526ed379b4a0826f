import math

import pytest
import torch

from lossforge.methods.warm_up import WarmUpTrial, _Attempt, _simplest, mistakes
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
    assert found.mean().item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("trials", "chosen"),
    [
        ([(0.30, 0.01), (0.20, 0.01), (0.195, 0.01)], 1),
        ([(0.30, 0.01), (0.20, 0.01), (0.18, 0.01)], 2),
        ([(0.30, 0.01), (0.20, 0.01), (0.28, 0.01)], 1),
        ([(math.inf, 0.0), (0.2, 0.0)], 1),
        ([(0.2, 0.0), (0.2, 0.0)], 0),
    ],
)
def test_what_is_better_by_less_than_its_error_is_not_better(trials: list, chosen: int):
    attempts = [_Attempt(WarmUpTrial(*trial), index, {}) for index, trial in enumerate(trials)]
    assert _simplest(attempts).horizon == chosen
