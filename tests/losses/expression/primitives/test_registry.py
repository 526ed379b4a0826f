import math

import pytest
import torch
from torch import Tensor

from lossforge.errors import ConfigurationError
from lossforge.losses.expression import (
    Program,
    canonical,
    evaluate,
    parse,
    simplify,
)
from lossforge.losses.expression.primitives import (
    ARITY,
    EPSILON,
    LIMIT,
    PRIMITIVES,
    Jet,
    Merge,
    Notation,
    Primitive,
    by_autograd,
    register_primitive,
    registered,
)
from lossforge.losses.expression.primitives.contract import (
    derivatives,
    require_sound,
    special_arguments,
)
from lossforge.losses.expression.primitives.log import LOG

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
    "atan": torch.atan,
    "exp": torch.exp,
    "power": lambda a, b: a.abs() ** b.clamp(-4, 4),
}

every_primitive = pytest.mark.parametrize("primitive", PRIMITIVES.values(), ids=lambda p: p.name)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def special(primitive: Primitive, dtype: torch.dtype) -> list[Tensor]:
    return special_arguments(primitive.arity, dtype)


def random_arguments(primitive: Primitive, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    draw = torch.randn(primitive.arity, 300, generator=generator, dtype=dtype)
    return list(3 * draw)


@every_dtype
@every_primitive
def test_everything_is_finite_on_the_special_grid(primitive: Primitive, dtype: torch.dtype):
    arguments = special(primitive, dtype)
    value, first, second = derivatives(primitive, arguments)
    closed = [*primitive.first(*arguments), *primitive.second(*arguments)]
    for tensor in (value, *first, *second, *closed):
        assert tensor.dtype == dtype
        assert tensor.isfinite().all()


@every_dtype
@every_primitive
@pytest.mark.parametrize("points", [special, random_arguments])
def test_closed_forms_equal_autograd(primitive: Primitive, dtype: torch.dtype, points):
    arguments = points(primitive, dtype)
    _, first, second = derivatives(primitive, arguments)
    # The curvature of log is a difference of numbers of size ε⁻² where |x| is about ε.
    protected = primitive.name in ("log", "power")
    slack = torch.finfo(dtype).eps / EPSILON**2 if protected else 0.0
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


@pytest.mark.parametrize("name", NAIVE)
def test_values_and_slopes_equal_the_naive_operation(name: str):
    """Away from zero, where protection bends log and sqrt by less than ε² / x²."""
    primitive = PRIMITIVES[name]
    arguments = [a + a.sign() for a in random_arguments(primitive, torch.float64)]
    leaves = [a.clone().requires_grad_() for a in arguments]
    naive = NAIVE[primitive.name](*leaves)
    close = {"rtol": 1e-7 if primitive.name == "power" else 0, "atol": 1e-8}
    torch.testing.assert_close(primitive.value(*arguments), naive.detach(), **close)
    slopes = torch.autograd.grad(naive.sum(), leaves)
    for got, want in zip(primitive.first(*arguments), slopes, strict=True):
        torch.testing.assert_close(got, want, **close)


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


def test_derivatives_vanish_from_the_limit_on():
    x = torch.tensor([0.5 * LIMIT, LIMIT, 2 * LIMIT, math.inf])
    assert PRIMITIVES["add"].first(x, torch.zeros(4))[0].tolist() == [1, 0, 0, 0]
    assert PRIMITIVES["square"].second(-x)[0].tolist() == [2, 0, 0, 0]


def cube(a: Tensor) -> Tensor:
    return (a / 1e5) ** 3


def wrong_slope(order: int, x: Tensor, out: Tensor | None = None) -> Jet:
    return LOG.jet(order, x, out=out)._replace(first=(x,))


CUBE = Primitive(
    name="cube",
    arity=1,
    jet=by_autograd(cube),
    torch_source="(a / 1e5) ** 3",
    notation=Notation("{}³", latex="{}^3", closed=False),
    rule=lambda algebra, x: algebra.odd("cube", x),
)


def test_a_registered_primitive_is_part_of_the_language(tmp_path):
    y, p = torch.rand(2, 6, 3, dtype=torch.float64)
    with registered(CUBE):
        expression = parse("cube(1 - p) * y")
        values = evaluate(expression, y, p)
        torch.testing.assert_close(values, cube(1 - p) * y)
        program = Program([expression, parse("tanh(p)")], dtype=torch.float64)
        found, slope = program.slope(y, p)
        torch.testing.assert_close(found[0], values)
        torch.testing.assert_close(slope[0], -3 * (1 - p) ** 2 / 1e15 * y)
        assert canonical(parse("cube(1 - p)")) == canonical(parse("-cube(p - 1)"))
        assert simplify(parse("square(cube(p))")).text == "(p³)²"
        assert simplify(parse("cube(p)")).latex == "p^3"
    assert "cube" not in PRIMITIVES
    assert "cube" not in ARITY


def test_the_same_primitive_may_be_registered_again():
    with registered(CUBE):
        register_primitive(CUBE)
        assert PRIMITIVES["cube"] is CUBE
    with registered(LOG):
        pass
    assert PRIMITIVES["log"] is LOG


@pytest.mark.parametrize(
    ("primitive", "says"),
    [
        (Primitive(name="log", arity=1, jet=by_autograd(cube)), "'log' exists; choose another"),
        (Primitive(name="p", arity=1, jet=by_autograd(cube)), "cannot be named 'p'"),
        (Primitive(name="softplus", arity=1, jet=by_autograd(cube)), "cannot be named"),
        (Primitive(name="lambda", arity=1, jet=by_autograd(cube)), "cannot be named"),
        (Primitive(name="two words", arity=1, jet=by_autograd(cube)), "cannot be named"),
        (Primitive(name="f", arity=3, jet=by_autograd(cube)), "must take 1 or 2 arguments"),
        (
            Primitive(name="f", arity=1, jet=by_autograd(cube), merge=Merge("add")),
            "cannot be computed by 'add'",
        ),
        (
            Primitive(name="f", arity=1, jet=by_autograd(torch.exp)),
            "the value of f is not finite at",
        ),
        (
            Primitive(name="f", arity=1, jet=by_autograd(lambda a: a.abs().sqrt())),
            "the slope of f is not finite at",
        ),
        (
            Primitive(
                name="f", arity=1, jet=lambda *a, **k: LOG.jet(*a, **k)._replace(first=a[1:])
            ),
            "the slope of f is not its value's",
        ),
        (
            Primitive(name="f", arity=1, jet=by_autograd(lambda a: a.nan_to_num(0.0))),
            "f hides NaN",
        ),
        (
            Primitive(name="f", arity=1, jet=by_autograd(lambda a: a.double())),
            "the value of f is torch.float64 for torch.float32",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_primitives_that_break_a_promise_are_refused(primitive: Primitive, says: str):
    with pytest.raises(ConfigurationError, match=says):
        register_primitive(primitive)
    assert PRIMITIVES.get(primitive.name) is not primitive


@every_primitive
def test_built_in_primitives_keep_the_contract(primitive: Primitive):
    require_sound(primitive)
