import torch
import torch.nn.functional as F

from lossforge.losses import SquaredProbability

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(8) % 5
P = LOGITS.softmax(1)[torch.arange(8), LABELS]


def test_it_is_the_brier_score():
    onehot = F.one_hot(LABELS, 5)
    expected = (LOGITS.softmax(1) - onehot).square().sum(1).mean()
    torch.testing.assert_close(SquaredProbability()(LOGITS, LABELS), expected)
