import torch
import torch.nn.functional as F

from lossforge.losses import CrossEntropy

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(8) % 5
P = LOGITS.softmax(1)[torch.arange(8), LABELS]


def test_it_is_pytorch_s():
    for reduction in ("mean", "sum", "none"):
        expected = F.cross_entropy(LOGITS, LABELS, reduction=reduction)
        torch.testing.assert_close(CrossEntropy(reduction)(LOGITS, LABELS), expected)
