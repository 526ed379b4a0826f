import torch

from lossforge.losses import Cauchy

VALUES = torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
WANTED = torch.randn(8, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
ERROR = VALUES - WANTED


def test_it_is_the_logarithm_of_one_more_than_the_square():
    expected = (1 + (ERROR / 0.5) ** 2).log().mean()
    torch.testing.assert_close(Cauchy(0.5)(VALUES, WANTED), expected)
