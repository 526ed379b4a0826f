import torch
import torch.nn.functional as F

from lossforge.losses import Huber

VALUES = torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
WANTED = torch.randn(8, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_it_is_pytorch_s():
    expected = F.huber_loss(VALUES, WANTED, reduction="none", delta=0.4).mean()
    torch.testing.assert_close(Huber(0.4)(VALUES, WANTED), expected)
