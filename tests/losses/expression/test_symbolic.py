import os
import subprocess
import sys
from random import Random

import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lossforge.losses.expression.generate import grow_tree
from lossforge.losses.expression.simplify import evaluate_sympy
from lossforge.losses.expression.symbolic import (
    MAX_KEY,
    MAX_TERMS,
    Algebra,
    P,
    Y,
    function,
    key,
    plain,
)
from lossforge.losses.expression.text import parse
from lossforge.losses.expression.tree import Expression, evaluate

expressions = st.integers(0, 10**6).map(lambda seed: grow_tree(5, Random(seed), 2))
algebras = st.builds(Algebra, expand=st.booleans(), readable=st.booleans())
ABS, DAMP, LOG, MAX, MIN, SIGN, SQRT, TANH = map(
    function, ("abs", "damp", "log", "max", "min", "sign", "sqrt", "tanh")
)
EXPANDED = Algebra(expand=True, readable=True)
KEYED = Algebra(expand=True, readable=False)


def sample() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    y, p = torch.randn(2, 200, generator=generator, dtype=torch.float64)
    return y, p


def assert_equal_up_to_rounding(got: Tensor, expected: Tensor, nearby: Tensor) -> None:
    """Compare where the function is not about to jump, and values are far from the limit."""
    steady = (expected - nearby).abs() <= 1e-4 * (1 + expected.abs())
    usual = expected.abs() < 1e6
    where = steady & usual
    torch.testing.assert_close(got[where], expected[where], rtol=1e-6, atol=1e-6)


@given(expressions, algebras)
def test_rules_keep_values(expression: Expression, algebra: Algebra):
    y, p = sample()
    got = evaluate_sympy(algebra.convert(expression), y, p)
    nearby = evaluate(expression, y + 1e-9, p - 1e-9)
    assert_equal_up_to_rounding(got, evaluate(expression, y, p), nearby)


@given(expressions, st.booleans(), st.integers(0, 100))
def test_coefficients_keep_values(expression: Expression, expand: bool, seed: int):
    y, p = sample()
    coefficients = torch.randn(expression.size, generator=torch.Generator().manual_seed(seed))
    numbers = coefficients.double()
    form = Algebra(expand, readable=True).convert(expression, coefficients.tolist())
    nearby = evaluate(expression, y + 1e-9, p - 1e-9, numbers)
    assert_equal_up_to_rounding(
        evaluate_sympy(form, y, p), evaluate(expression, y, p, numbers), nearby
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y + p - y", P),
        ("(y - p)**2", P**2 - 2 * P * Y + Y**2),
        ("abs(-y)", ABS(Y)),
        ("abs(abs(y)*p)", ABS(Y) * ABS(P)),
        ("abs((y - p)**2)", P**2 - 2 * P * Y + Y**2),
        ("abs(y*y*y)", Y**2 * ABS(Y)),
        ("abs(sqrt(y))", SQRT(Y)),
        ("abs(-1)", sympy.Integer(1)),
        ("(abs(y)*p)**2", P**2 * Y**2),
        ("log(-y)", LOG(Y)),
        ("log(abs(p))", LOG(P)),
        ("sqrt(-1*abs(p))", SQRT(P)),
        ("tanh(-p)", -TANH(P)),
        ("tanh(p - p)", sympy.Integer(0)),
        ("sign(-y*p)", -SIGN(P) * SIGN(Y)),
        ("sign(sign(y))", SIGN(Y)),
        ("sign(sqrt(y))", sympy.Integer(1)),
        ("sign(y*y)", SIGN(Y) ** 2),
        ("aq(-y, p)", -Y * DAMP(P)),
        ("aq(y, -abs(p))", Y * DAMP(P)),
        ("aq(y, p - p)", Y),
        ("min(y, y)", Y),
        ("min(min(y, 1), min(p, -1))", MIN(P, Y, -1)),
        ("max(1, -1)", sympy.Integer(1)),
        ("max(y, p)", MAX(P, Y)),
    ],
)
def test_rules(text: str, expected: sympy.Expr):
    assert EXPANDED.convert(parse(text)) == expected


def test_functions_of_numbers_are_numbers_only_to_read():
    one = parse("tanh(1)")
    assert float(EXPANDED.convert(one)) == pytest.approx(0.76159, abs=1e-5)
    assert KEYED.convert(one) == TANH(1)


def test_max_is_a_min_in_keys():
    assert KEYED.convert(parse("max(y, p)")) == -MIN(-P, -Y)


@pytest.mark.parametrize("readable", [False, True])
def test_large_products_stay_functions(readable: bool):
    text = "y"
    for i in range(8):
        text = f"({text} + {'abs' if i % 2 else 'tanh'}({text}))**2"
        form = Algebra(expand=True, readable=readable).convert(parse(text))
        assert len(sympy.Add.make_args(form)) <= MAX_TERMS
        assert len(key(form)) <= MAX_KEY
    assert form.has(sympy.Function("square"))


def test_integers_do_not_explode():
    huge = Expression(("square",) * 100 + ("add", "1", "1"))
    for expand in (False, True):
        form = Algebra(expand, readable=False).convert(huge)
        assert len(str(form)) < 2000


def test_plain_form_is_the_tree():
    expression = parse("sub(y, abs(min(p, -1)))")
    y, p = sample()
    form = plain(expression, [2.0, 1.0, 0.5, 1.0, 1.0, 1.0])
    coefficients = torch.tensor([2.0, 1.0, 0.5, 1.0, 1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(evaluate_sympy(form, y, p), evaluate(expression, y, p, coefficients))
    assert str(plain(expression)) == "sub(y, abs(min(p, -1)))"


def test_keys_tell_expressions_apart():
    forms = [Y, P, Y + P, Y * P, Y - P, LOG(Y), SQRT(Y), LOG(Y) ** 2, LOG(Y**2), 2 * Y, sympy.S.One]
    assert len({key(form) for form in forms}) == len(forms)


def test_keys_do_not_depend_on_the_process():
    code = (
        "from random import Random\n"
        "from lossforge.losses.expression.generate import ramped_half_and_half\n"
        "from lossforge.losses.expression.symbolic import Algebra, key\n"
        "algebra = Algebra(expand=True, readable=False)\n"
        "for e in ramped_half_and_half(50, 2, 5, Random(0)): print(key(algebra.convert(e)))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
