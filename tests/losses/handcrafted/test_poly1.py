import torch
import torch.nn.functional as F

from lossforge.losses import CrossEntropy, Poly1

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(8) % 5
P = LOGITS.softmax(1)[torch.arange(8), LABELS]


def test_it_is_cross_entropy_with_another_first_coefficient():
    expected = CrossEntropy()(LOGITS, LABELS) + 2 * (1 - P).mean()
    torch.testing.assert_close(Poly1(2.0)(LOGITS, LABELS), expected)


def test_shares_as_targets_take_p_in_the_mean():
    """As the paper's code has it for smoothed labels: epsilon times 1 - sum of y·p."""
    y = torch.rand(8, 5, dtype=torch.float64).softmax(1)
    expected = F.cross_entropy(LOGITS, y) + 2 * (1 - (y * LOGITS.softmax(1)).sum(1)).mean()
    torch.testing.assert_close(Poly1(2.0)(LOGITS, y), expected)
