from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ExpressionError
from lossforge.losses.expression.generate import grow_tree, ramped_half_and_half
from lossforge.losses.expression.primitives import softplus
from lossforge.losses.expression.simplify import canonical, evaluate_sympy, simplify
from lossforge.losses.expression.text import parse, to_text
from lossforge.losses.expression.tree import Expression, evaluate

expressions = st.integers(0, 10**6).map(lambda seed: grow_tree(4, Random(seed)))


def planted(name: str, x: Expression, z: Expression) -> Expression:
    """Return an expression equal to x (to a function of x and z where the name says so)."""
    template = {
        "double negation": "-(-x)",
        "add and take away": "(x + x) - x",
        "times one": "1*x",
        "add zero": "x + (z - z)",
        "quotient by one": "aq(x, z - z)",
        "minimum of itself": "min(x, x)",
        "minimum as maximum": "-max(-x, -x)",
    }[name]
    return filled(template, x, z)


def filled(template: str, x: Expression, z: Expression) -> Expression:
    """Parse a template over x and z, with y standing for x and p for z."""
    pattern = parse(template.replace("x,", "y,").replace("max", "M").replace("x", "y")
                    .replace("M", "max").replace("z", "p"))  # fmt: skip
    nodes: list[str] = []
    for symbol in pattern.nodes:
        nodes += {"y": x.nodes, "p": z.nodes}.get(symbol, (symbol,))
    return Expression(tuple(nodes))
