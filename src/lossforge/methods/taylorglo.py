"""TaylorGLO: Taylor polynomials as losses, their parameters found by CMA-ES.

Source: Gonzalez & Miikkulainen, "Optimizing Loss Functions Through Multivariate Taylor Polynomial
Parameterization" (GECCO 2021); thesis, ch. 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from lossforge.losses import SymbolicLoss, taylor_loss
from lossforge.losses.taylor import PARAMETERS
from lossforge.searching import Evaluation, PopulationSearch, SearchContext
from lossforge.validation import require_in_range

if TYPE_CHECKING:
    from cmaes import CMA

Vector = np.ndarray[Any, np.dtype[np.float64]]


@final
@dataclass
class Strategy:
    """CMA-ES, and the ranks that it was told, which are told again on resuming."""

    cma: "CMA"
    ranks: list[list[int]] = field(default_factory=list)


@final
@dataclass(frozen=True)
class TaylorGLO(PopulationSearch[Strategy, Vector]):
    """Evolution strategy over third-order Taylor polynomials of target and prediction.

    Population and generations are the thesis' for all searches; the paper's own vary by task.

    Examples:
        >>> from lossforge.searching import Fitness
        >>> from lossforge.tasks import load
        >>> method = TaylorGLO(population=4, generations=2, fitness=Fitness(steps=10))
        >>> method.run(load("iris"), model="linear").evaluations
        8
    """

    name: ClassVar[str] = "taylorglo"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"racing": False},
        "quick": {
            "population": 12,
            "generations": 6,
            "fitness_steps": 150,
            "finalists": 4,
            "final_steps": 400,
        },
    }

    deviation: float = 1.2
    """initial standard deviation of CMA-ES around polynomials whose parameters are all 0"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_in_range("deviation", self.deviation, 0, exclude_low=True)

    def init(self, context: SearchContext) -> Strategy:
        """Return CMA-ES before its first generation: mean 0, standard deviation sigma."""
        from cmaes import CMA  # imports SciPy's statistics, which takes half a second

        return Strategy(
            CMA(
                mean=np.zeros(PARAMETERS),
                sigma=self.deviation,
                seed=context.seed("cma") % 2**32,
                population_size=self.population,
            )
        )

    def ask(self, state: Strategy, context: SearchContext) -> list[Vector]:
        """Sample parameters theta of a generation of polynomials."""
        return [state.cma.ask() for _ in range(self.population)]

    def decode(self, candidate: Vector, context: SearchContext) -> SymbolicLoss:
        """Return the polynomial with parameters theta as a loss; see `taylor_loss`."""
        return taylor_loss(candidate.tolist(), context.kind)

    def tell(
        self, state: Strategy, candidates: Sequence[Vector], evaluations: Sequence[Evaluation]
    ) -> None:
        """Update mean, step size and covariance by the ranks of the candidates."""
        # CMA-ES uses ranks alone, so failures need no finite value.
        order = sorted(range(len(candidates)), key=lambda i: evaluations[i].fitness)
        ranks = {candidate: rank for rank, candidate in enumerate(order)}
        self._update(state, candidates, [ranks[i] for i in range(len(candidates))])

    def save(self, state: Strategy) -> list[list[int]]:
        """Return all ranks so far."""
        return list(state.ranks)

    def load(self, saved: list[list[int]], context: SearchContext) -> Strategy:
        """Repeat the generations with the ranks that were saved: CMA-ES has no plain state."""
        state = self.init(context)
        for ranks in saved:
            self._update(state, self.ask(state, context), ranks)
        return state

    def _update(self, state: Strategy, candidates: Sequence[Vector], ranks: list[int]) -> None:
        state.cma.tell([(x, float(rank)) for x, rank in zip(candidates, ranks, strict=True)])
        state.ranks.append(ranks)
