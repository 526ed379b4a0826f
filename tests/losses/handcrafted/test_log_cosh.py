import torch

from lossforge.losses import LogCosh

VALUES = torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
WANTED = torch.randn(8, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
ERROR = VALUES - WANTED


def test_it_is_the_logarithm_of_cosh():
    expected = (ERROR / 0.5).cosh().log().mean()
    torch.testing.assert_close(LogCosh(0.5)(VALUES, WANTED), expected)


def test_it_is_curved_at_zero_and_linear_far_away():
    leaf = torch.tensor([[0.0], [1e6], [-1e6]], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(3, 1, dtype=torch.float64)
    (slope,) = torch.autograd.grad(LogCosh(reduction="sum")(leaf, zero), leaf, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), leaf)
    assert slope.flatten().tolist() == [0.0, 1.0, -1.0]
    assert curvature.flatten().tolist() == [1.0, 0.0, 0.0]
