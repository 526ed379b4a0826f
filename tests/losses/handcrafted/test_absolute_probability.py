import torch

from lossforge.losses import AbsoluteProbability

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(8) % 5
P = LOGITS.softmax(1)[torch.arange(8), LABELS]


def test_it_is_twice_what_the_target_lacks():
    torch.testing.assert_close(AbsoluteProbability()(LOGITS, LABELS), 2 * (1 - P).mean())
