import pytest
import torch

from lossforge.analysis.calibration import calibration_error
from lossforge.errors import ConfigurationError


def test_a_network_that_draws_its_labels_is_calibrated():
    draw = torch.Generator().manual_seed(0)
    outputs = 2 * torch.randn(40_000, 4, generator=draw)
    labels = torch.multinomial(outputs.softmax(1), 1, generator=draw).squeeze(1)
    assert calibration_error(outputs, labels) < 0.02
    # The same guesses, believed in three times as much, are overconfident.
    assert calibration_error(3 * outputs, labels) > 0.1


def test_it_is_the_definition_written_out():
    draw = torch.Generator().manual_seed(1)
    outputs, labels = torch.randn(200, 3, generator=draw), torch.randint(3, (200,), generator=draw)
    p, guess = outputs.softmax(1).max(1)
    expected = 0.0
    for low in range(10):
        rows = (p > low / 10) & (p <= (low + 1) / 10)
        if rows.any():
            gap = p[rows].mean() - (guess == labels)[rows].float().mean()
            expected += float(gap.abs() * rows.sum() / 200)
    assert calibration_error(outputs, labels, 10) == pytest.approx(expected, rel=1e-4)


def test_no_bins_are_refused():
    with pytest.raises(ConfigurationError, match="bins"):
        calibration_error(torch.zeros(1, 2), torch.tensor([0]), 0)
