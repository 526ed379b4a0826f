import pytest
import torch
from torch import nn

from lossforge.methods.npbml.film import FiLM


def modulating(features: int, seen: int | None = None) -> FiLM:
    torch.manual_seed(0)
    film = FiLM(features, seen).double()
    nn.init.normal_(film.generator.weight)
    nn.init.normal_(film.generator.bias)
    return film


@pytest.mark.parametrize("shape", [(1, 3), (6, 3), (6, 3, 5), (6, 3, 4, 2)])
def test_features_are_scaled_and_shifted_by_linear_functions_of_the_mean_row(shape):
    film, x = modulating(3), torch.randn(shape).double()
    mean = x.transpose(0, 1).flatten(1).mean(1)
    gamma, beta = (film.generator.weight @ mean + film.generator.bias).split(3)
    broadcast = (3, *[1] * (x.dim() - 2))
    expected = (1 + gamma).view(broadcast) * x + beta.view(broadcast)
    torch.testing.assert_close(film(x), expected)


def test_the_rows_that_modulate_may_be_others():
    film, x, rows = modulating(3, 5), torch.randn(6, 3).double(), torch.randn(9, 5).double()
    scale, shift = film.coefficients(rows.mean(0))
    torch.testing.assert_close(film(x, rows), scale * x + shift)


def test_it_begins_as_the_identity_and_can_learn():
    film, x = FiLM(3), torch.randn(6, 3)
    assert torch.equal(film(x), x)
    film(x).square().sum().backward()
    assert film.generator.weight.grad.any()
    assert film.generator.bias.grad.any()


@pytest.mark.parametrize("rows", [1, 4])
def test_derivatives_are_exact(rows):
    film, x = modulating(2), torch.randn(rows, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(film, (x,))
    assert torch.autograd.gradgradcheck(film, (x,))
