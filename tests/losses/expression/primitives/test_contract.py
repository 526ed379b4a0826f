import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.losses.expression.primitives import LIMIT, Jet, Primitive, by_autograd
from lossforge.losses.expression.primitives.contract import (
    derivatives,
    require_sound,
    special_arguments,
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_grid_holds_what_functions_break_at(dtype: torch.dtype):
    (points,) = special_arguments(1, dtype)
    for number in (0.0, 1.0, torch.finfo(dtype).tiny, LIMIT, torch.finfo(dtype).max, torch.inf):
        for signed in (number, -number):
            assert bool((points == torch.tensor(signed, dtype=dtype)).any())
    first, second = special_arguments(2, dtype)
    assert len(first) == len(second) == len(points) ** 2


def test_derivatives_are_those_of_the_value():
    product = Primitive(name="f", arity=2, jet=by_autograd(lambda a, b: a * a * b))
    a, b = torch.tensor([2.0]), torch.tensor([5.0])
    value, first, second = derivatives(product, [a, b])
    assert value.item() == 20
    assert [slope.item() for slope in first] == [20, 4]
    assert [curvature.item() for curvature in second] == [10, 4, 0]


def test_a_wrong_curvature_is_told():
    def jet(order: int, x: torch.Tensor, out: torch.Tensor | None = None) -> Jet:
        return Jet(torch.mul(x, x, out=out), (x + x,), (1.0,))

    with pytest.raises(ConfigurationError, match="the curvature of f is not its value's"):
        require_sound(Primitive(name="f", arity=1, jet=jet))
