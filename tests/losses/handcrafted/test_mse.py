import torch
import torch.nn.functional as F

from lossforge.losses import Squared

VALUES = torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
WANTED = torch.randn(8, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_it_sums_outputs_and_averages_examples():
    expected = F.mse_loss(VALUES, WANTED, reduction="none").sum(1).mean()
    torch.testing.assert_close(Squared()(VALUES, WANTED), expected)
