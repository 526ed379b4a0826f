import pytest
import torch

from lossforge.losses.expression import Program, evaluate, parse, simplify
from lossforge.losses.expression.primitives.power import MOST_EXPONENT, MOST_LOG, POWER


@pytest.mark.parametrize("exponent", [-1.5, 0.0, 0.5, 1.0, 3.0])
def test_the_coefficient_of_the_exponent_is_the_exponent(exponent):
    p = torch.linspace(0.1, 2, 50, dtype=torch.float64)
    coefficients = torch.tensor([1.0, 1.0, exponent], dtype=torch.float64)
    found = evaluate(parse("power(p, 1)"), p, p, coefficients)
    torch.testing.assert_close(found, p**exponent, rtol=1e-5, atol=1e-5)


def test_the_exponent_can_be_learned_through_a_program():
    """From |error|^2 to |error|^1.5, by the derivative of the slope in the coefficient."""
    expression = parse("power(y - p, 1)")
    program = Program([expression], dtype=torch.float64)
    y = torch.zeros(50, 1, dtype=torch.float64)
    p = torch.linspace(0.2, 2, 50, dtype=torch.float64)[:, None]
    wanted = 1.5 * p**0.5
    coefficients = torch.ones(1, expression.size, dtype=torch.float64)
    place = expression.nodes.index("1")
    coefficients[0, place] = 2.0
    for _ in range(400):
        _, slope = program.slope(y, p, coefficients)
        *_, mixed = program.mixed(y, p, 2 * (slope[0] - wanted) / len(p), coefficients)
        coefficients[0, place] -= 0.1 * mixed[0, place]
    assert float(coefficients[0, place]) == pytest.approx(1.5, abs=1e-3)


def test_exponents_and_values_are_bounded():
    a = torch.tensor([2.0, 1e15, 0.0], dtype=torch.float64)
    b = torch.tensor([MOST_EXPONENT + 5, 4.0, -4.0], dtype=torch.float64)
    log_of_zero = torch.tensor(1e-4, dtype=torch.float64).log()
    expected = [2**MOST_EXPONENT, torch.tensor(MOST_LOG).double().exp().item()]
    assert POWER.value(a, b)[:2].tolist() == pytest.approx(expected)
    limited = torch.clamp(-4 * log_of_zero, max=MOST_LOG).exp().item()
    assert POWER.value(a, b)[2].item() == pytest.approx(limited)
    assert POWER.first(a, b)[1].tolist()[:2] == [0, 0]


def test_it_is_even_in_the_base_and_positive():
    assert simplify(parse("power(-p, y)")).text == "|p|^(y)"
    assert simplify(parse("abs(square(power(p, y)))")).text == "(|p|^(y))²"
    assert simplify(parse("power(p, y)")).latex == r"\left|p\right|^{y}"
