"""What a search returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from lossforge.losses import Loss


@final
@dataclass(frozen=True)
class FrontMember:
    """A loss that no other of the search beats in both size and validation metric.

    Attributes:
        loss: with its tuned coefficients.
        size: nodes of its expression.
        valid: its fitness.
    """

    loss: Loss
    size: int
    valid: float


@final
@dataclass(frozen=True)
class SearchResult:
    """The outcome of a search.

    Attributes:
        loss: the loss chosen on validation data; the search never reads test data.
        valid: its fitness: the value of the validation metric after training for the fitness steps.
        evaluations: how many fitness runs there were.
        front: the Pareto front of fitness against size, the smallest first; empty where losses
            do not differ in size.
        counts: what became of the candidates, by outcome.
    """

    loss: Loss
    valid: float
    evaluations: int
    front: tuple[FrontMember, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"SearchResult({self.loss}: {self.valid:.4g} on validation data after "
            f"{self.evaluations} evaluations, {len(self.front)} on the front)"
        )
