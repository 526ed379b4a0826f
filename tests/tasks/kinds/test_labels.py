"""The smooth error rate of margins."""

import pytest
import torch

from lossforge.tasks.kinds import Classification


def margin_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return Classification().smooth_scores(outputs, targets)


def stack(seed: int = 0, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(3, 50, classes, generator=generator)
    return outputs, torch.randint(classes, (50,), generator=generator)


def test_the_margin_error_does_not_depend_on_the_outputs_size():
    outputs, labels = stack()
    found = margin_error(outputs, labels)
    for factor in (1e-3, 1e3):
        assert torch.allclose(margin_error(factor * outputs, labels), found, atol=1e-6)
    assert torch.allclose(margin_error(outputs + torch.randn(3, 50, 1), labels), found, atol=1e-5)


def test_the_margin_error_orders_networks_with_the_same_mistakes():
    labels = torch.tensor([0, 1, 1])
    sure = torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0]])
    unsure = torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 0.1]])
    wrong = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    found = margin_error(torch.stack([sure, unsure, wrong]), labels).tolist()
    assert found == sorted(found)
    assert found[0] < 0.01


def test_one_output_is_judged_by_its_sign():
    labels = torch.tensor([1, 0, 1])
    right, wrong = torch.tensor([[3.0], [-3.0], [3.0]]), torch.tensor([[-3.0], [3.0], [-3.0]])
    good, bad = margin_error(torch.stack([right, wrong]), labels).tolist()
    assert good < 0.05
    assert bad == pytest.approx(1 - good)


def test_outputs_that_are_all_equal_are_half_wrong():
    assert margin_error(torch.zeros(1, 5, 3), torch.zeros(5, dtype=torch.int64)).tolist() == [0.5]


def test_ignored_rows_do_not_count():
    outputs, labels = stack()
    twice = torch.cat([outputs, -outputs], dim=1)
    padded = torch.cat([labels, torch.full_like(labels, -100)])
    assert torch.allclose(margin_error(twice, padded), margin_error(outputs, labels), atol=1e-6)
