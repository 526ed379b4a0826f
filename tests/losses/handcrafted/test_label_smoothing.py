import torch
import torch.nn.functional as F

from lossforge.losses import LabelSmoothing

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(8) % 5
P = LOGITS.softmax(1)[torch.arange(8), LABELS]


def test_it_is_pytorch_s():
    expected = F.cross_entropy(LOGITS, LABELS, label_smoothing=0.3)
    torch.testing.assert_close(LabelSmoothing(0.3)(LOGITS, LABELS), expected)
