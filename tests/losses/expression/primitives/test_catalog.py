import math

import pytest
import sympy
import torch

from lossforge.losses.expression.primitives.catalog import CATALOG, PAPER


def test_the_paper_s_functions_come_first_and_names_are_keys():
    names = list(CATALOG)
    assert names[: len(PAPER)] == [primitive.name for primitive in PAPER]
    assert all(primitive.name == name for name, primitive in CATALOG.items())
    assert {"atan", "exp", "power"} <= set(names[len(PAPER) :])


@pytest.mark.parametrize("primitive", CATALOG.values(), ids=lambda p: p.name)
def test_the_sources_of_a_function_give_its_values(primitive):
    generator = torch.Generator().manual_seed(0)
    pairs = 6 * torch.rand(20, 2, generator=generator, dtype=torch.float64) - 3
    for a, b in pairs:
        arguments = (a, b)[: primitive.arity]
        expected = primitive.value(*arguments).item()
        numbers = {"a": a.item(), "b": b.item()}
        found = [
            eval(primitive.torch_source, {"torch": torch, "a": a, "b": b}),
            eval(primitive.python_source, {"math": math, **numbers}),
            eval(primitive.sympy_source, {"sympy": sympy, **numbers}),
        ]
        assert [float(value) for value in found] == pytest.approx([expected] * 3, rel=1e-9)
