"""The symbolic language of learned losses: elementwise in the target y and the prediction p."""

from lossforge.losses.expression.generate import full_tree, grow_tree, ramped_half_and_half
from lossforge.losses.expression.language import DIFFERENCE, LEAVES, PAPER_LANGUAGE, Language
from lossforge.losses.expression.primitives import (
    ARITY,
    BUILT_IN,
    PRIMITIVES,
    TERMINALS,
    Jet,
    Notation,
    Primitive,
    by_autograd,
    register_primitive,
    registered,
    softplus,
)
from lossforge.losses.expression.program import Program
from lossforge.losses.expression.simplify import Formula, canonical, evaluate_sympy, simplify
from lossforge.losses.expression.text import parse, parse_weighted, to_text, weighted_text
from lossforge.losses.expression.tree import Expression, evaluate

__all__ = [
    "ARITY",
    "BUILT_IN",
    "DIFFERENCE",
    "LEAVES",
    "PAPER_LANGUAGE",
    "PRIMITIVES",
    "TERMINALS",
    "Expression",
    "Formula",
    "Jet",
    "Language",
    "Notation",
    "Primitive",
    "Program",
    "by_autograd",
    "canonical",
    "evaluate",
    "evaluate_sympy",
    "full_tree",
    "grow_tree",
    "parse",
    "parse_weighted",
    "ramped_half_and_half",
    "register_primitive",
    "registered",
    "simplify",
    "softplus",
    "to_text",
    "weighted_text",
]
