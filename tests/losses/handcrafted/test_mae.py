import torch
import torch.nn.functional as F

from lossforge.losses import Absolute

VALUES = torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
WANTED = torch.randn(8, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_it_is_pytorch_s():
    expected = F.l1_loss(VALUES, WANTED, reduction="none").mean()
    torch.testing.assert_close(Absolute()(VALUES, WANTED), expected)
