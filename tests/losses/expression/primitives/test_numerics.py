import math

import pytest
import torch

from lossforge.losses.expression.primitives import (
    LIMIT,
    limit,
    softplus,
    through_limit,
    through_limit_,
)

DTYPES = [torch.float32, torch.float64]
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@every_dtype
def test_through_limit_is_the_derivative_of_limit(dtype: torch.dtype):
    x = torch.tensor([0.0, 1.0, -LIMIT, LIMIT, -math.inf, 1e30], dtype=dtype, requires_grad=True)
    limited = limit(x)
    (expected,) = torch.autograd.grad(limited.sum(), x)
    gradient = torch.ones_like(expected)
    assert through_limit(gradient, limited.detach()).tolist() == expected.tolist()
    through_limit_(gradient, limited.detach())
    assert gradient.tolist() == expected.tolist() == [1, 1, 0, 0, 0, 0]


@every_dtype
def test_softplus_and_its_derivatives(dtype: torch.dtype):
    x = torch.tensor([-1e30, -200.0, -1.0, 0.0, 1.0, 19.9, 20.1, 200.0, 1e30], dtype=dtype)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(softplus(x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    expected = torch.sigmoid(x.detach())
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype] * 1e-3}
    torch.testing.assert_close(softplus(x).detach(), torch.logaddexp(x, x * 0).detach(), **close)
    torch.testing.assert_close(slope.detach(), expected, **close)
    torch.testing.assert_close(curvature, expected * torch.sigmoid(-x.detach()), **close)
