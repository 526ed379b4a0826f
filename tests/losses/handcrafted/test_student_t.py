import torch

from lossforge.losses import Cauchy, StudentT

VALUES = torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
WANTED = torch.randn(8, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
ERROR = VALUES - WANTED


def test_it_is_the_likelihood_but_for_a_constant():
    density = torch.distributions.StudentT(3.0, 0.0, torch.tensor(0.5, dtype=torch.float64))
    expected = density.log_prob(torch.zeros(())) - density.log_prob(ERROR)
    torch.testing.assert_close(StudentT(3.0, 0.5)(VALUES, WANTED), expected.mean())


def test_one_degree_of_freedom_is_cauchy():
    torch.testing.assert_close(StudentT(1.0, 0.5)(VALUES, WANTED), Cauchy(0.5)(VALUES, WANTED))
