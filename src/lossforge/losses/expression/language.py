"""Which functions and terminals random expressions are made of."""

from dataclasses import dataclass
from typing import final

from lossforge.errors import ExpressionError
from lossforge.losses.expression.primitives import PAPER, PRIMITIVES, TERMINALS
from lossforge.validation import require


@final
@dataclass(frozen=True)
class Language:
    """Functions and terminals, from which symbols are drawn uniformly.

    Args:
        functions: names of primitives, built in or registered; by default those of EvoMAL's paper.
        terminals: among y, p, 1 and -1; y and p are needed.

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
            if name not in TERMINALS:
                raise ExpressionError(
                    f"no terminal is named {name!r}; known: {', '.join(TERMINALS)}"
                )
        for names in (self.functions, self.terminals):
            require(len(set(names)) == len(names), f"a name stands twice in {', '.join(names)}")
        require({"y", "p"} <= set(self.terminals), "the terminals of a language must have y and p")

    @property
    def terminal_ratio(self) -> float:
        """Share of the terminals among all symbols."""
        return len(self.terminals) / (len(self.terminals) + len(self.functions))


PAPER_LANGUAGE = Language()
"""The functions and terminals of EvoMAL (thesis, ch. 4)."""
