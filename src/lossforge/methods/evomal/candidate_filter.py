"""The filters in their order, the cheapest first: form, gradients, rejection protocol."""

import math
from collections.abc import Sequence
from typing import final

from lossforge.losses import SymbolicLoss, SymbolicPopulation
from lossforge.losses.expression import Expression, canonical
from lossforge.methods.evomal.filters import (
    Filters,
    fresh_predictions,
    gradient_keys,
    improves_predictions,
    spread_predictions,
)
from lossforge.methods.evomal.fitness_cache import FitnessCache
from lossforge.searching import SearchContext

Candidates = dict[str, Expression]
"""expressions by canonical form"""


@final
class CandidateFilter:
    """Lets only those expressions of a generation through that must be trained under.

    Args:
        settings: of the filters.
        softplus: whether losses have softplus on their output.
        context: of the search.
        cache: what is known of earlier expressions; it learns what the filters find out.

    Attributes:
        accepted: what was let through so far, by canonical form.
    """

    def __init__(
        self, settings: Filters, *, softplus: bool, context: SearchContext, cache: FitnessCache
    ):
        self._settings, self._softplus, self._cache = settings, softplus, cache
        self._kind, self._device = context.kind, context.device
        problem, rows, seed = context.problems[0], settings.rows, context.root_seed
        self._fresh = fresh_predictions(problem, rows, seed)
        self._spread = spread_predictions(problem, rows, seed)
        self.accepted: Candidates = {}

    def __call__(self, expressions: Sequence[Expression]) -> list[Expression]:
        """Return the expressions that no filter settles."""
        keys = [canonical(expression) for expression in expressions]
        first = dict(zip(reversed(keys), reversed(expressions), strict=True))
        new = {key: first[key] for key in keys if not self._is_known(key)}
        self._count("candidates", len(keys))
        self._count("equal in form", len(keys) - len(new))
        accepted = self._not_rejected(self._of_new_gradients(new))
        self.accepted |= accepted
        return list(accepted.values())

    def _is_known(self, key: str) -> bool:
        return key in self.accepted or self._cache.knows(key)

    def _of_new_gradients(self, candidates: Candidates) -> Candidates:
        """Return the candidates whose gradients are met for the first time."""
        if not (self._settings.gradient_equivalence and candidates):
            return candidates
        new = {}
        gradients = gradient_keys(list(candidates.values()), self._spread, self._kind)
        for (key, expression), gradient in zip(candidates.items(), gradients, strict=True):
            if gradient is None:
                self._reject(key)
            elif self._cache.follows(key, gradient):
                self._count("equal in gradient")
            else:
                new[key] = expression
        return new

    def _not_rejected(self, candidates: Candidates) -> Candidates:
        """Return the candidates that improve predictions which are optimized directly."""
        if not (self._settings.rejection_steps and candidates):
            return candidates
        losses = SymbolicPopulation(
            [
                SymbolicLoss(expression, kind=self._kind, softplus=self._softplus)
                for expression in candidates.values()
            ],
            self._device,
        )
        steps = self._settings.rejection_steps
        improved = improves_predictions(losses, self._fresh, self._kind, steps)
        accepted = {}
        for (key, expression), good in zip(candidates.items(), improved, strict=True):
            if good:
                accepted[key] = expression
            else:
                self._reject(key)
        return accepted

    def _reject(self, key: str) -> None:
        self._cache.add(key, math.inf)
        self._count("rejected")

    def _count(self, what: str, how_many: int = 1) -> None:
        self._cache.counts[what] += how_many
