import math

import pytest
import torch

from lossforge.losses.expression.primitives.exp import EXP, MOST
from lossforge.losses.expression.simplify import simplify
from lossforge.losses.expression.text import parse


def test_beyond_the_most_it_goes_on_along_its_tangent():
    x = torch.tensor([MOST, MOST + 2], dtype=torch.float64)
    assert EXP.value(x).tolist() == pytest.approx([math.exp(MOST), 3 * math.exp(MOST)])
    assert EXP.first(x)[0].tolist() == pytest.approx([math.exp(MOST)] * 2)
    assert EXP.second(x)[0].tolist() == pytest.approx([math.exp(MOST), 0])


def test_it_is_known_to_be_positive():
    assert simplify(parse("abs(exp(y*p)) + sign(exp(p))")).text == "exp(p·y) + 1"
