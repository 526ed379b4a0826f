import torch

from lossforge.losses import CrossEntropy, GeneralizedCrossEntropy

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(8) % 5
P = LOGITS.softmax(1)[torch.arange(8), LABELS]


def test_it_is_the_box_cox_transform_of_p():
    loss = GeneralizedCrossEntropy(0.7)
    torch.testing.assert_close(loss(LOGITS, LABELS), ((1 - P**0.7) / 0.7).mean())


def test_it_tends_to_cross_entropy_and_ends_at_what_the_target_lacks():
    near = GeneralizedCrossEntropy(1e-9)(LOGITS, LABELS)
    torch.testing.assert_close(near, CrossEntropy()(LOGITS, LABELS))
    torch.testing.assert_close(GeneralizedCrossEntropy(1.0)(LOGITS, LABELS), (1 - P).mean())
