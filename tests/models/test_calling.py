import pytest
import torch
from torch import Tensor, nn

from lossforge.models.calling import call

A, B = torch.ones(2), torch.full((2,), 3.0)


class Difference(nn.Module):
    def forward(self, a: Tensor, b: Tensor | None = None) -> Tensor:
        return a if b is None else a - b


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [(A, A), ((A, B), A - B), ([B], B), ({"b": A, "a": B}, B - A)],
)
def test_inputs_may_be_a_tensor_positional_or_named(inputs, expected):
    assert torch.equal(call(Difference(), inputs), expected)
