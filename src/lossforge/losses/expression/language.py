"""Which functions and terminals random expressions are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

from lossforge.errors import ExpressionError
from lossforge.losses.expression.primitives import PAPER, PRIMITIVES, TERMINALS
from lossforge.validation import require

DIFFERENCE = "p-y"
"""name of the terminal that stands for the difference of prediction and target"""

LEAVES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: (name,) for name in TERMINALS} | {DIFFERENCE: ("sub", "p", "y")}
)
"""what each terminal of a language becomes in a tree"""


@final
@dataclass(frozen=True)
class Language:
    """Functions and terminals, from which symbols are drawn uniformly.

    Args:
        functions: names of primitives, built in or registered; by default those of EvoMAL's paper.
        terminals: among y, p, 1, -1 and p-y, which becomes a tree of three nodes; y and p are
            needed, or p-y, without which a loss of values depends on where they lie.

    Raises:
        ExpressionError: a function is not known.
        ConfigurationError: there is no function, a name stands twice, y or p is missing.

    Examples:
        >>> Language(functions=("add", "mul", "power")).terminal_ratio
        0.5714285714285714
    """

    functions: tuple[str, ...] = tuple(primitive.name for primitive in PAPER)
    terminals: tuple[str, ...] = TERMINALS

    def __post_init__(self) -> None:
        require(len(self.functions) > 0, "a language needs at least one function")
        for name in self.functions:
            if name not in PRIMITIVES:
                raise ExpressionError(
                    f"no function is named {name!r}; known: {', '.join(PRIMITIVES)}"
                )
        for name in self.terminals:
            if name not in LEAVES:
                raise ExpressionError(f"no terminal is named {name!r}; known: {', '.join(LEAVES)}")
        for names in (self.functions, self.terminals):
            require(len(set(names)) == len(names), f"a name stands twice in {', '.join(names)}")
        require(
            self.has_difference or {"y", "p"} <= set(self.terminals),
            f"the terminals of a language must have y and p, or {DIFFERENCE}",
        )

    @property
    def has_difference(self) -> bool:
        """Whether p-y is a terminal."""
        return DIFFERENCE in self.terminals

    @property
    def terminal_ratio(self) -> float:
        """Share of the terminals among all symbols."""
        return len(self.terminals) / (len(self.terminals) + len(self.functions))


PAPER_LANGUAGE = Language()
"""The functions and terminals of EvoMAL (thesis, ch. 4)."""
