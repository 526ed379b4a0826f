import torch

from lossforge.losses import Focal

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(8) % 5
P = LOGITS.softmax(1)[torch.arange(8), LABELS]


def test_it_is_weighted_cross_entropy():
    torch.testing.assert_close(Focal(2.0)(LOGITS, LABELS), (-((1 - P) ** 2) * P.log()).mean())
