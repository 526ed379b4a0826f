"""The functions that come with lossforge: the line that imports one is its registration."""

# ruff: noqa: PLC0414  # "X as X" marks a name that is imported to be registered

from lossforge.losses.expression.primitives.arithmetic import ADD, MUL, SUB
from lossforge.losses.expression.primitives.atan import ATAN as ATAN
from lossforge.losses.expression.primitives.exp import EXP as EXP
from lossforge.losses.expression.primitives.extrema import MAX, MIN
from lossforge.losses.expression.primitives.log import LOG
from lossforge.losses.expression.primitives.magnitude import ABS, SIGN
from lossforge.losses.expression.primitives.power import POWER as POWER
from lossforge.losses.expression.primitives.primitive import Primitive
from lossforge.losses.expression.primitives.quotient import AQ
from lossforge.losses.expression.primitives.sqrt import SQRT
from lossforge.losses.expression.primitives.square import SQUARE
from lossforge.losses.expression.primitives.tanh import TANH

PAPER = (ADD, SUB, MUL, AQ, MIN, MAX, SIGN, SQUARE, ABS, LOG, SQRT, TANH)
"""The functions of EvoMAL's language (thesis, ch. 4), from which searches draw by default."""


def _all(namespace: dict[str, object]) -> dict[str, Primitive]:
    found = [thing for thing in namespace.values() if isinstance(thing, Primitive)]
    return {primitive.name: primitive for primitive in (*PAPER, *found)}


CATALOG = _all(globals())
"""By name, the paper's first."""
