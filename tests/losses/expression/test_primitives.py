import itertools
import math

import pytest
import torch
from torch import Tensor

from lossforge.losses.expression.primitives import (
    EPSILON,
    LIMIT,
    PRIMITIVES,
    Primitive,
    limit,
    softplus,
    through_limit,
    through_limit_,
)

DTYPES = [torch.float32, torch.float64]
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
NAIVE = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "aq": lambda a, b: a / torch.hypot(b, torch.ones_like(b)),
    "min": torch.minimum,
    "max": torch.maximum,
    "sign": torch.sign,
    "square": torch.square,
    "abs": torch.abs,
    "log": lambda x: x.abs().log(),
    "sqrt": lambda x: x.abs().sqrt(),
    "tanh": torch.tanh,
}

every_primitive = pytest.mark.parametrize("primitive", PRIMITIVES.values(), ids=lambda p: p.name)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def special_arguments(primitive: Primitive, dtype: torch.dtype) -> list[Tensor]:
    info = torch.finfo(dtype)
    positive = [info.tiny, 1e-8, 1e-4, 0.5, 1.0, 3.0, 1e6, LIMIT, 1e30, info.max, math.inf]
    grid = [0.0, *positive, *(-x for x in positive)]
    points = torch.tensor(list(itertools.product(grid, repeat=primitive.arity)), dtype=dtype)
    return list(points.unbind(1))


def random_arguments(primitive: Primitive, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    draw = torch.randn(primitive.arity, 300, generator=generator, dtype=dtype)
    return list(3 * draw)


def derivatives(
    primitive: Primitive, arguments: list[Tensor]
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Value, first and second derivatives by autograd."""
    leaves = [a.clone().requires_grad_() for a in arguments]
    value = primitive.value(*leaves)
    first = torch.autograd.grad(value.sum(), leaves, create_graph=True, materialize_grads=True)
    second = []
    for i, slope in enumerate(first):
        rest = leaves[i:]
        if slope.requires_grad:
            second += torch.autograd.grad(
                slope.sum(), rest, retain_graph=True, materialize_grads=True
            )
        else:
            second += [torch.zeros_like(leaf) for leaf in rest]
    return value.detach(), [slope.detach() for slope in first], second


@every_dtype
@every_primitive
def test_everything_is_finite_on_the_special_grid(primitive: Primitive, dtype: torch.dtype):
    arguments = special_arguments(primitive, dtype)
    value, first, second = derivatives(primitive, arguments)
    closed = [*primitive.first(*arguments), *primitive.second(*arguments)]
    for tensor in (value, *first, *second, *closed):
        assert tensor.dtype == dtype
        assert tensor.isfinite().all()


@every_dtype
@every_primitive
@pytest.mark.parametrize("points", [special_arguments, random_arguments])
def test_closed_forms_equal_autograd(primitive: Primitive, dtype: torch.dtype, points):
    arguments = points(primitive, dtype)
    _, first, second = derivatives(primitive, arguments)
    # The curvature of log is a difference of numbers of size ε⁻² where |x| is about ε.
    slack = torch.finfo(dtype).eps / EPSILON**2 if primitive.name == "log" else 0.0
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype] + slack}
    for closed, expected in (
        (primitive.first(*arguments), first),
        (primitive.second(*arguments), second),
    ):
        for got, want in zip(closed, expected, strict=True):
            torch.testing.assert_close(got, want, **close)


@every_dtype
@every_primitive
def test_nan_passes_through(primitive: Primitive, dtype: torch.dtype):
    for position in range(primitive.arity):
        arguments = [
            torch.tensor([0.0, 0.5, math.inf], dtype=dtype) for _ in range(primitive.arity)
        ]
        arguments[position] = torch.full((3,), math.nan, dtype=dtype)
        assert primitive.value(*arguments).isnan().all()


@every_primitive
def test_values_and_slopes_equal_the_naive_operation(primitive: Primitive):
    """Away from zero, where protection bends log and sqrt by less than ε² / x²."""
    arguments = [a + a.sign() for a in random_arguments(primitive, torch.float64)]
    leaves = [a.clone().requires_grad_() for a in arguments]
    naive = NAIVE[primitive.name](*leaves)
    torch.testing.assert_close(primitive.value(*arguments), naive.detach(), rtol=0, atol=1e-8)
    slopes = torch.autograd.grad(naive.sum(), leaves)
    for got, want in zip(primitive.first(*arguments), slopes, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-8)


@every_primitive
def test_arguments_of_commutative_primitives_may_be_exchanged(primitive: Primitive):
    if primitive.arity == 1:
        assert not primitive.commutative
        return
    a, b = random_arguments(primitive, torch.float64)
    same = torch.equal(primitive.value(a, b), primitive.value(b, a))
    assert same == primitive.commutative


@every_primitive
def test_value_works_in_forward_mode_and_under_vmap(primitive: Primitive):
    arguments = random_arguments(primitive, torch.float64)
    tangents = [torch.ones_like(a) for a in arguments]
    value, tangent = torch.func.vmap(
        lambda xs, ts: torch.func.jvp(primitive.value, tuple(xs), tuple(ts))
    )(arguments, tangents)
    torch.testing.assert_close(value, primitive.value(*arguments))
    torch.testing.assert_close(tangent, sum(primitive.first(*arguments)), rtol=1e-9, atol=1e-9)


@every_primitive
def test_jet_writes_its_value_where_it_is_told(primitive: Primitive):
    arguments = random_arguments(primitive, torch.float64)
    room = torch.empty_like(arguments[0])
    jet = primitive.jet(2, *arguments, out=room)
    assert jet.value is room
    torch.testing.assert_close(room, primitive.value(*arguments), rtol=0, atol=0)


def test_protected_functions_are_smooth_at_zero():
    zero = torch.zeros(1, dtype=torch.float64)
    assert PRIMITIVES["log"].value(zero).item() == pytest.approx(math.log(EPSILON))
    assert PRIMITIVES["log"].second(zero)[0].item() == pytest.approx(EPSILON**-2)
    assert PRIMITIVES["sqrt"].value(zero).item() == pytest.approx(math.sqrt(EPSILON))
    for name in ("log", "sqrt", "abs", "sign"):
        assert PRIMITIVES[name].first(zero)[0].item() == 0.0


@pytest.mark.parametrize("name", ["min", "max"])
def test_ties_share_the_derivative(name: str):
    tie = torch.tensor([2.0])
    assert [slope.item() for slope in PRIMITIVES[name].first(tie, tie)] == [0.5, 0.5]


def test_derivatives_vanish_from_the_limit_on():
    x = torch.tensor([0.5 * LIMIT, LIMIT, 2 * LIMIT, math.inf])
    assert PRIMITIVES["add"].first(x, torch.zeros(4))[0].tolist() == [1, 0, 0, 0]
    assert PRIMITIVES["square"].second(-x)[0].tolist() == [2, 0, 0, 0]


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
