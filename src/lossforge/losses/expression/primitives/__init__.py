"""The functions of the expression language, one a file: numerics, derivatives, algebra, notation.

A new one is a file here and a line in `catalog`; from user code, `register_primitive`.
"""

from lossforge.losses.expression.primitives.catalog import PAPER
from lossforge.losses.expression.primitives.numerics import (
    EPSILON,
    LIMIT,
    limit,
    softplus,
    through_limit,
    through_limit_,
)
from lossforge.losses.expression.primitives.primitive import (
    Factor,
    Jet,
    Merge,
    Notation,
    Primitive,
    by_autograd,
)
from lossforge.losses.expression.primitives.registry import (
    ARITY,
    BUILT_IN,
    PRIMITIVES,
    TERMINALS,
    register_primitive,
    registered,
)

__all__ = [
    "ARITY",
    "BUILT_IN",
    "EPSILON",
    "LIMIT",
    "PAPER",
    "PRIMITIVES",
    "TERMINALS",
    "Factor",
    "Jet",
    "Merge",
    "Notation",
    "Primitive",
    "by_autograd",
    "limit",
    "register_primitive",
    "registered",
    "softplus",
    "through_limit",
    "through_limit_",
]
