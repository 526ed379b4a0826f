import torch
import torch.nn.functional as F

from lossforge.losses import CrossEntropy, SymmetricCrossEntropy

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(8) % 5
P = LOGITS.softmax(1)[torch.arange(8), LABELS]


def test_it_adds_the_reverse_cross_entropy():
    y = F.one_hot(LABELS, 5).double()
    log_y = torch.where(y > 0, 0.0, -4.0)
    reverse = -(LOGITS.softmax(1) * log_y).sum(1).mean()
    expected = 0.3 * CrossEntropy()(LOGITS, LABELS) + 0.7 * reverse
    torch.testing.assert_close(SymmetricCrossEntropy(0.3, 0.7)(LOGITS, LABELS), expected)


def test_the_reverse_part_of_labels_is_what_the_target_lacks():
    found = SymmetricCrossEntropy(0.0, 1.0)(LOGITS, LABELS)
    torch.testing.assert_close(found, 4 * (1 - P).mean())
