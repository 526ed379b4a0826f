import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError
from lossforge.losses import taylor_loss

numbers = st.floats(-3, 3, allow_nan=False)
eight = st.lists(numbers, min_size=8, max_size=8)


def polynomial(theta: list[float], t: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """TaylorGLO's f, term by term as it is published."""
    c = [torch.tensor(value, dtype=torch.float64) for value in theta]
    d, e = p - c[1], t - c[0]
    terms = [c[2] * d, c[3] * d**2 / 2, c[4] * d**3 / 6]
    terms += [c[5] * e * d, c[6] * e * d**2 / 2, c[7] * e**2 * d / 2]
    return torch.stack(terms).sum(0)


@given(theta=eight, seed=st.integers(0, 1000))
def test_it_is_the_published_polynomial(theta: list[float], seed: int):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(4, (6,), generator=generator)
    loss = taylor_loss(theta).double()
    with torch.no_grad():
        # Coefficients are kept in single precision.
        t, p = F.one_hot(labels, 4).double(), outputs.softmax(1)
        expected = -polynomial(theta, t, p).sum(1)
        torch.testing.assert_close(
            loss.per_example(outputs, labels), expected, rtol=1e-5, atol=1e-5
        )


def test_target_and_prediction_are_not_exchanged():
    outputs = torch.tensor([[0.3, 2.0]], dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    # Only the term of target times prediction: the slope by the prediction is minus the target.
    loss = taylor_loss([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0], "regression").double()
    loss.reduction = "sum"
    (slope,) = torch.autograd.grad(loss(outputs, targets), outputs)
    torch.testing.assert_close(slope, -targets)


@given(theta=eight, which=st.integers(2, 7))
def test_every_parameter_reaches_the_slope(theta: list[float], which: int):
    theta = [0.4, -0.3, *theta[2:]]
    other = [value + (index == which) for index, value in enumerate(theta)]
    outputs = torch.tensor([[0.3, 2.0]], dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[1.0, -1.5]], dtype=torch.float64)
    slopes = [
        torch.autograd.grad(taylor_loss(t, "regression").double()(outputs, targets), outputs)[0]
        for t in (theta, other)
    ]
    assert (slopes[0] - slopes[1]).abs().max() > 1e-3


def test_eight_parameters_are_needed():
    with pytest.raises(ConfigurationError, match="8 parameters, not 7"):
        taylor_loss([0.0] * 7)
