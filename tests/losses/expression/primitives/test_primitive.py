import pytest
import torch

from lossforge.losses.expression.primitives import PRIMITIVES, by_autograd

UNARY = [p for p in PRIMITIVES.values() if p.arity == 1]
BINARY = [p for p in PRIMITIVES.values() if p.arity == 2]


@pytest.mark.parametrize("primitive", [*UNARY, *BINARY], ids=lambda p: p.name)
def test_jets_by_autograd_are_the_closed_forms(primitive):
    generator = torch.Generator().manual_seed(0)
    draw = 2 * torch.randn(primitive.arity, 50, generator=generator, dtype=torch.float64)
    closed, found = primitive.jet(2, *draw), by_autograd(primitive.value)(2, *draw)
    torch.testing.assert_close(found.value, closed.value)
    for ours, theirs in ((found.first, closed.first), (found.second, closed.second)):
        for one, other in zip(ours, theirs, strict=True):
            expected = torch.as_tensor(other, dtype=one.dtype).expand_as(one)
            torch.testing.assert_close(one, expected, rtol=1e-9, atol=1e-9)


def test_jets_by_autograd_work_without_gradients_and_write_where_they_are_told():
    jet = by_autograd(lambda a: a * a)
    x = torch.tensor([3.0])
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            room = torch.empty(1)
            found = jet(2, x, out=room)
            assert found.value is room
            assert [float(each) for each in (room, *found.first, *found.second)] == [9, 6, 2]


def test_a_constant_has_no_derivatives():
    found = by_autograd(torch.ones_like)(2, torch.tensor([3.0]))
    assert [float(each) for each in (*found.first, *found.second)] == [0, 0]
