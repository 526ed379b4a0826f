import torch

from lossforge.losses.expression.primitives.atan import ATAN
from lossforge.losses.expression.simplify import simplify
from lossforge.losses.expression.text import parse


def test_it_is_odd_and_bounded():
    assert simplify(parse("atan(y - p) + atan(p - y)")).text == "0"
    assert simplify(parse("atan(p)")).latex == r"\arctan\left(p\right)"
    far = torch.tensor([1e20, -1e20], dtype=torch.float64)
    torch.testing.assert_close(ATAN.value(far), far.atan())
