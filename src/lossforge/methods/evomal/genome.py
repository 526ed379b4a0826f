"""What evolves: an expression with its coefficients and the size of its steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from lossforge.errors import ExpressionError
from lossforge.losses import SymbolicLoss, zoo
from lossforge.losses.expression import Expression, canonical, parse_weighted, weighted_text

KEY_DIGITS = 2
"""significant digits of coefficients by which genomes are told apart"""


@final
@dataclass(frozen=True, slots=True)
class Genome:
    """An expression with one coefficient for each node.

    It has the parts of `Expression` that genetic operators need; coefficients move with their
    nodes. In the paper's search all of them are 1.

    Attributes:
        expression: the tree.
        coefficients: in prefix order, the root's first.
        scale: how large steps are to be at fresh predictions, relative to the default loss's;
            None leaves the root's coefficient as it is.
    """

    expression: Expression
    coefficients: tuple[float, ...]
    scale: float | None = None

    @classmethod
    def plain(cls, expression: Expression) -> "Genome":
        """Return an expression with coefficients of 1."""
        return cls(expression, (1.0,) * expression.size)

    @classmethod
    def read(cls, text: str, scale: float | None = None) -> "Genome":
        """Return the genome whose `text` was written, or that of a symbolic loss of the zoo.

        Raises:
            ExpressionError: the text cannot be read, or the loss has no expression.
            UnknownNameError: the zoo has no loss of that name.

        Examples:
            >>> Genome.read("2.0*abs(sub(y, p))").coefficients
            (2.0, 1.0, 1.0, 1.0)
            >>> Genome.read("zoo:evomal-digits").has_both_inputs
            True
        """
        if zoo.is_in_zoo(text):
            loss = zoo.load(text)
            if not isinstance(loss, SymbolicLoss):
                raise ExpressionError(f"{text} is no expression; seed expressions are")
            return cls(loss.expression, tuple(loss.coefficients.tolist()), scale)
        expression, coefficients = parse_weighted(text)
        return cls(expression, tuple(coefficients), scale)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Symbols in prefix order."""
        return self.expression.nodes

    @property
    def size(self) -> int:
        """Number of nodes."""
        return self.expression.size

    @property
    def depth(self) -> int:
        """Edges on the longest path from the root."""
        return self.expression.depth

    @property
    def has_both_inputs(self) -> bool:
        """Whether the tree contains y and p."""
        return self.expression.has_both_inputs

    @property
    def text(self) -> str:
        """The expression with its coefficients, in full."""
        return weighted_text(self.expression, self.coefficients)

    @property
    def key(self) -> str:
        """A text that only equal losses share, up to rounding of the coefficients."""
        if self.scale is None and set(self.coefficients) == {1.0}:
            return canonical(self.expression)
        root, *others = self.coefficients
        size = root if self.scale is None else self.scale
        return f"{size:.1e} {weighted_text(self.expression, [1.0, *others], KEY_DIGITS)}"

    def subtree(self, index: int) -> "Genome":
        """Return the genome rooted at node `index`."""
        part = self.expression.subtree(index)
        return Genome(part, self.coefficients[self.expression.span(index)])

    def replace(self, index: int, other: "Genome | Expression") -> "Genome":
        """Return this genome with the subtree at node `index` exchanged for `other`."""
        donor = Genome.plain(other) if isinstance(other, Expression) else other
        span = self.expression.span(index)
        before, after = self.coefficients[: span.start], self.coefficients[span.stop :]
        return Genome(
            self.expression.replace(index, donor.expression),
            before + donor.coefficients + after,
            self.scale,
        )

    def with_coefficients(self, coefficients: Sequence[float]) -> "Genome":
        """Return the genome with other coefficients."""
        return Genome(self.expression, tuple(coefficients), self.scale)
