import torch
import torch.nn.functional as F

from lossforge.losses import SquaredOutputs

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(8) % 5
P = LOGITS.softmax(1)[torch.arange(8), LABELS]


def test_outputs_are_held_against_scaled_one_hot_targets():
    onehot = F.one_hot(LABELS, 5).double()
    expected = (LOGITS - 3 * onehot).square().sum(1).mean()
    torch.testing.assert_close(SquaredOutputs(3.0)(LOGITS, LABELS), expected)


def test_the_target_s_square_is_weighted_as_in_the_paper():
    onehot = F.one_hot(LABELS, 5).bool()
    target = 15 * (LOGITS[onehot] - 30).square()
    others = LOGITS.masked_fill(onehot, 0).square().sum(1)
    torch.testing.assert_close(SquaredOutputs(30.0, 15.0)(LOGITS, LABELS), (target + others).mean())


def test_a_single_output_has_the_scale_on_either_side():
    z = torch.tensor([[1.0], [1.0]])
    loss = SquaredOutputs(4.0, reduction="none")
    assert loss(z, torch.tensor([1, 0])).tolist() == [9.0, 25.0]
    assert loss(z, torch.tensor([[0.5], [1.0]])).tolist() == [1.0, 9.0]
