import pytest
import torch

from lossforge.losses import Barron

ERROR = torch.tensor([[-3.0], [-0.1], [0.0], [0.5], [10.0]], dtype=torch.float64)
ZERO = torch.zeros_like(ERROR)
X = (ERROR / 0.5).squeeze(1)


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        (2.0, X**2 / 2),
        (1.0, (X**2 + 1).sqrt() - 1),
        (0.0, (X**2 / 2 + 1).log()),
        (-2.0, 2 * X**2 / (X**2 + 4)),
    ],
)
def test_it_has_the_paper_s_special_cases(alpha, expected):
    found = Barron(alpha, 0.5, reduction="none")(ERROR, ZERO)
    torch.testing.assert_close(found.squeeze(1), expected)


@pytest.mark.parametrize(("alpha", "near"), [(0.0, 1e-9), (0.0, -1e-9), (2.0, 2 - 1e-9)])
def test_it_is_continuous_where_the_formula_is_not_defined(alpha, near):
    limit, found = (Barron(a, 0.5, reduction="none")(ERROR, ZERO) for a in (alpha, near))
    torch.testing.assert_close(found, limit, rtol=1e-6, atol=1e-9)
