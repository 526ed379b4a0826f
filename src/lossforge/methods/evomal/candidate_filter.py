"""The filters in their order, the cheapest first: form, gradients, rejection protocol."""

import math
from collections.abc import Callable, Sequence
from typing import final

from lossforge.losses import SymbolicLoss, SymbolicPopulation
from lossforge.methods.evomal.filters import (
    Filters,
    fresh_predictions,
    fresh_predictions_of_all_classes,
    gradient_keys,
    improves_every_class,
    improves_predictions,
    spread_predictions,
)
from lossforge.methods.evomal.fitness_cache import FitnessCache
from lossforge.methods.evomal.genome import Genome
from lossforge.searching import SearchContext, weighs_classes

Candidates = dict[str, Genome]
"""genomes by key: expressions by canonical form, where all coefficients are 1"""


@final
class CandidateFilter:
    """Lets only those genomes of a generation through that must be trained under.

    They are judged on every task of the search.

    Args:
        settings: of the filters.
        decode: returns the loss that a genome stands for.
        context: of the search.
        cache: what is known of earlier genomes; it learns what the filters find out.

    Attributes:
        accepted: what was let through so far, by key.
    """

    def __init__(
        self,
        settings: Filters,
        *,
        decode: Callable[[Genome], SymbolicLoss],
        context: SearchContext,
        cache: FitnessCache,
    ):
        self._settings, self._decode, self._cache = settings, decode, cache
        self._kind, self._device = context.kind, context.device
        rows, seed = settings.rows, context.root_seed
        # All tasks have one metric.
        self._has_rare = weighs_classes(context.problems[0].task)
        sample = fresh_predictions_of_all_classes if self._has_rare else fresh_predictions
        self._fresh = [sample(problem, rows, seed) for problem in context.problems]
        self._spread = [spread_predictions(problem, rows, seed) for problem in context.problems]
        self.accepted: Candidates = {}

    def __call__(self, genomes: Sequence[Genome]) -> list[Genome]:
        """Return the genomes that no filter settles."""
        keys = [genome.key for genome in genomes]
        first = dict(zip(reversed(keys), reversed(genomes), strict=True))
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
        losses = [self._decode(genome) for genome in candidates.values()]
        by_task = [gradient_keys(losses, spread) for spread in self._spread]
        for (key, genome), *keys in zip(candidates.items(), *by_task, strict=True):
            gradient = _joined(keys)
            if gradient is None:
                self._reject(key)
            elif self._cache.follows(key, gradient):
                self._count("equal in gradient")
            else:
                new[key] = genome
        return new

    def _not_rejected(self, candidates: Candidates) -> Candidates:
        """Return the candidates that improve predictions which are optimized directly.

        Where the metric lets rare classes count, those of every class must improve.
        """
        if not (self._settings.rejection_steps and candidates):
            return candidates
        losses = SymbolicPopulation(
            [self._decode(genome) for genome in candidates.values()], self._device
        )
        steps = self._settings.rejection_steps
        improves = improves_every_class if self._has_rare else improves_predictions
        by_task = [improves(losses, fresh, self._kind, steps) for fresh in self._fresh]
        accepted = {}
        for (key, genome), *improved in zip(candidates.items(), *by_task, strict=True):
            if all(improved):
                accepted[key] = genome
            else:
                self._reject(key)
        return accepted

    def _reject(self, key: str) -> None:
        self._cache.add(key, math.inf)
        self._count("rejected")

    def _count(self, what: str, how_many: int = 1) -> None:
        self._cache.counts[what] += how_many


def _joined(keys: Sequence[str | None]) -> str | None:
    """Return one gradient key for all tasks; None where there is none for one of them."""
    known = [key for key in keys if key is not None]
    return "/".join(known) if len(known) == len(keys) else None
