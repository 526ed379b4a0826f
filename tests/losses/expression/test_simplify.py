import threading
from random import Random

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lossforge.errors import ExpressionError
from lossforge.losses import SymbolicLoss
from lossforge.losses.expression.generate import grow_tree, ramped_half_and_half
from lossforge.losses.expression.primitives import softplus
from lossforge.losses.expression.simplify import canonical, evaluate_sympy, simplify
from lossforge.losses.expression.text import parse, to_text, weighted_text
from lossforge.losses.expression.tree import Expression, evaluate

expressions = st.integers(0, 10**6).map(lambda seed: grow_tree(3, Random(seed)))

# Two ways to write one function of a and b.
IDENTITIES = [
    ("sub(add({a}, {a}), {a})", "{a}"),
    ("mul(-1, mul({a}, -1))", "{a}"),
    ("mul({a}, {b})", "mul({b}, {a})"),
    ("add({a}, {b})", "add({b}, {a})"),
    ("min({a}, {b})", "min({b}, {a})"),
    ("square(sub({a}, {b}))", "square(sub({b}, {a}))"),
    ("abs(sub({a}, {b}))", "abs(sub({b}, {a}))"),
    ("log(mul(-1, {a}))", "log({a})"),
    ("tanh(mul(-1, {a}))", "mul(tanh({a}), -1)"),
    ("aq(mul(-1, {a}), {b})", "sub(sub({a}, {a}), aq({a}, mul(-1, {b})))"),
    ("max({a}, {b})", "mul(-1, min(mul(-1, {a}), mul({b}, -1)))"),
    ("min({a}, {a})", "{a}"),
    ("abs(square({a}))", "square({a})"),
    ("abs(abs({a}))", "abs({a})"),
    ("sign(sign({a}))", "sign({a})"),
]
EXPANDED = (
    "square(sub({a}, {b}))",
    "add(sub(mul({a}, {a}), mul({b}, {a})), sub(mul({b}, {b}), mul({a}, {b})))",
)


def filled(template: str, a: str, b: str) -> Expression:
    return parse(template.format(a=a, b=b))


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda pair: pair[0])
@given(a=expressions, b=expressions)
def test_equal_expressions_share_a_key(identity: tuple[str, str], a: Expression, b: Expression):
    left, right = (filled(template, to_text(a), to_text(b)) for template in identity)
    assert canonical(left) == canonical(right)


@pytest.mark.parametrize(("a", "b"), [("y", "p"), ("log(p)", "tanh(y)"), ("add(y, 1)", "abs(p)")])
def test_small_products_are_multiplied_out(a: str, b: str):
    left, right = (canonical(filled(template, a, b)) for template in EXPANDED)
    assert left == right


def test_different_expressions_differ_in_key():
    sums = ["y", "p", "1", "y*p", "y + p", "y - p", "y**2", "log(p)*y"]
    calls = ["log(y)", "sqrt(y)", "aq(y, p)", "aq(p, y)", "min(y, p)", "max(y, p)"]
    texts = [*sums, *calls, "abs(y)", "sign(y)", "tanh(y)"]
    assert len({canonical(parse(text)) for text in texts}) == len(texts)


def test_expressions_with_one_key_are_equal_functions():
    generator = torch.Generator().manual_seed(0)
    y, p = torch.randn(2, 200, generator=generator, dtype=torch.float64)
    groups: dict[str, list[Expression]] = {}
    for expression in ramped_half_and_half(3000, 0, 3, Random(0)):
        groups.setdefault(canonical(expression), []).append(expression)
    shared = [set(group) for group in groups.values() if len(set(group)) > 1]
    assert len(shared) > 50
    for group in shared:
        values = torch.stack([evaluate(expression, y, p) for expression in group])
        nearby = torch.stack([evaluate(expression, y + 1e-9, p - 1e-9) for expression in group])
        steady = ((values - nearby).abs() < 1e-4).all(0)
        assert ((values - values[0]).abs() < 1e-6).all(0)[steady].all()


def test_a_key_that_takes_too_long_is_the_text():
    expression = parse("(y - p)**2 + log(p*p*p)*tanh(y - p)")
    assert canonical(expression, time_limit=0.0) == to_text(expression)
    assert canonical(expression) != to_text(expression)


def test_keys_can_be_computed_in_threads():
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(canonical(parse("y - p - y + p + p*y"))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["Mul(p,y)"] * 4


@given(expressions, st.booleans(), st.integers(0, 100))
def test_simplification_keeps_values(expression: Expression, positive: bool, seed: int):
    generator = torch.Generator().manual_seed(seed)
    y, p = torch.randn(2, 50, generator=generator, dtype=torch.float64)
    coefficients = torch.randn(expression.size, generator=generator, dtype=torch.float64)
    formula = simplify(expression, coefficients.tolist(), softplus=positive)
    expected = evaluate(expression, y, p, coefficients)
    nearby = evaluate(expression, y + 1e-9, p - 1e-9, coefficients)
    steady = ((expected - nearby).abs() < 1e-4) & (expected.abs() < 1e6)
    expected = softplus(expected) if positive else expected
    got = evaluate_sympy(formula.sympy, y, p)
    torch.testing.assert_close(got[steady], expected[steady], rtol=1e-6, atol=1e-6)


def test_the_shorter_form_is_chosen():
    assert simplify(parse("(y - p)**2")).text == "(p - y)²"
    assert simplify(parse("(y - p)*y + p*y")).text == "y²"


def test_numbers_are_rounded_only_in_print():
    formula = simplify(parse("y"), [1 / 3], digits=2)
    assert (formula.text, formula.latex) == ("0.33·y", r"0.33 \, y")
    assert float(formula.sympy.coeff("y")) == 1 / 3


def test_a_formula_that_takes_too_long_is_given_as_it_is():
    expression, coefficients = parse("(y - y)**2"), [2.0, 1.0, 1.0, 1.0]
    formula = simplify(expression, coefficients, time_limit=0.0)
    assert formula.text == "2·square(sub(y, y))"
    assert weighted_text(expression, coefficients, digits=1) == "2*square(sub(y, y))"
    assert simplify(expression, coefficients).text == "0"


def test_softplus_is_part_of_the_formula():
    formula = simplify(parse("y*p"), softplus=True)
    assert formula.text == "softplus(p·y)"
    assert formula.latex == r"\log\left(1 + e^{p \, y}\right)"


def test_deep_chains_do_not_exhaust_the_stack():
    chain = Expression(("tanh",) * 3000 + ("y",))
    assert canonical(chain) == to_text(chain)


@pytest.mark.parametrize("coefficients", [[1.0], [1.0, 1.0, float("nan")]])
def test_unfit_coefficients_are_refused(coefficients: list[float]):
    with pytest.raises(ExpressionError, match="coefficients"):
        simplify(parse("y + p"), coefficients)


def test_no_function_of_numbers_is_left_in_a_formula():
    formula = simplify(parse("aq(y, add(1, 1))"))
    assert formula.text == "0.4472·y"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y*y*p", "p·y"),
        ("square(y)*y", "y"),
        ("(y - p)**2 - p*p", "y - 2·p·y"),
        ("abs(p) + abs(y)", "p + y"),
        ("abs(y*p + p)", "p·y + p"),
        ("sign(p)", "1"),
        ("sign(-y*p)", "-y"),
        ("square(sqrt(p))", "p"),
        ("square(sqrt(y - p))", "|p - y|"),
        ("sqrt(p)*square(sqrt(p))", "p·√|p|"),
        ("sign(y - p)", "-sign(p - y)"),
        ("-y*log(p)", "-y·log|p|"),
    ],
)
def test_what_is_known_of_labels_is_used_where_it_holds(text: str, expected: str):
    expression = parse(text)
    assert simplify(expression, labels=True).text == expected
    assert SymbolicLoss(text).formula.text == expected
    assert SymbolicLoss(text, kind="regression").formula.text == simplify(expression).text


@given(expressions, st.integers(0, 100))
def test_simplification_for_labels_keeps_values_of_labels(expression: Expression, seed: int):
    assume("sqrt" not in expression.symbols)  # its square is |x| but for a little
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (50,), generator=generator).double()
    p = 0.01 + 0.98 * torch.rand(50, generator=generator, dtype=torch.float64)
    coefficients = torch.randn(expression.size, generator=generator, dtype=torch.float64)
    formula = simplify(expression, coefficients.tolist(), labels=True)
    expected = evaluate(expression, y, p, coefficients)
    nearby = evaluate(expression, y, p - 1e-9, coefficients)
    nudged = evaluate(expression, y, p, coefficients * (1 + 1e-9))
    steady = ((expected - nearby).abs() < 1e-4) & ((expected - nudged).abs() < 1e-4)
    steady &= expected.abs() < 1e6
    got = evaluate_sympy(formula.sympy, y, p)
    torch.testing.assert_close(got[steady], expected[steady], rtol=1e-6, atol=1e-6)
