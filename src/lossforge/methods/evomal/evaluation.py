"""From expressions to fitnesses: filters first, then local search and training for what is left."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch

from lossforge.losses import LossPopulation, SymbolicLoss, SymbolicPopulation
from lossforge.losses.expression import Expression, canonical, to_text
from lossforge.methods.evomal.archive import Archive, Record
from lossforge.methods.evomal.filters import (
    fresh_predictions,
    gradient_keys,
    improves_predictions,
    spread_predictions,
)
from lossforge.randomness import derive_seed, torch_generator
from lossforge.search.fitness import Fitness, Trial
from lossforge.search.meta_training import MetaTraining, Progress
from lossforge.search.problem import Problem, kind_of
from lossforge.validation import require_in_range

Candidates = dict[str, Expression]
"""expressions by canonical form"""

INITIAL_DEVIATION = 1e-3
"""of the coefficients around one, where local search begins"""


@final
@dataclass(frozen=True)
class Filters:
    """Settings of the filters that act before anything is trained.

    Attributes:
        rows: predictions in the samples.
        rejection_steps: of Adam on free predictions; 0 turns the rejection protocol off.
        gradient_equivalence: whether losses with equal slopes share a fitness.
    """

    rows: int
    rejection_steps: int
    gradient_equivalence: bool

    def __post_init__(self) -> None:
        require_in_range("filter_rows", self.rows, 1)
        require_in_range("filter_steps", self.rejection_steps, 0)


@final
class Evaluation:
    """Gives every expression a fitness, in an archive that grows.

    Args:
        problems: to train on.
        seed: of networks, batches and initial coefficients.
        filters: before training.
        tuning: local search of the coefficients; none where None.
        fitness: of a tuned loss.
        keep_untuned: whether candidates are also trained as they were before local search, and
            the better coefficients are kept.
        softplus: on every loss's output.
        archive: of what is known.
        progress: hears of the stages.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        seed: int,
        *,
        filters: Filters,
        tuning: MetaTraining | None,
        fitness: Fitness,
        keep_untuned: bool,
        softplus: bool,
        archive: Archive,
        progress: Progress,
    ):
        self._problems, self._seed, self._kind = problems, seed, kind_of(problems)
        self._filters, self._tuning, self._fitness = filters, tuning, fitness
        self._softplus, self._archive, self._progress = softplus, archive, progress
        self._keep_untuned = keep_untuned and tuning is not None
        self._waiting: Candidates = {}
        self._fresh = fresh_predictions(problems[0], filters.rows, seed)
        self._spread = spread_predictions(problems[0], filters.rows, seed)

    def sieve(self, expressions: Sequence[Expression]) -> list[Expression]:
        """Settle all that the filters can; return the expressions that need training.

        They wait for `train`, together with those of earlier calls.
        """
        keys = [canonical(expression) for expression in expressions]
        met = dict(zip(reversed(keys), reversed(expressions), strict=True))
        fresh = {key: met[key] for key in keys if not self._is_known(key)}
        self._count("candidates", len(keys))
        self._count("equal in form", len(keys) - len(fresh))
        accepted = self._not_rejected(self._unlike(fresh))
        self._waiting |= accepted
        return list(accepted.values())

    def train(self) -> None:
        """Tune the waiting candidates, train networks under them and keep what they are worth."""
        candidates, self._waiting = self._waiting, {}
        if not candidates:
            return
        losses: LossPopulation = self._population(
            candidates, deviation=INITIAL_DEVIATION if self._tuning else 0.0
        )
        if self._tuning:
            seed = derive_seed(self._seed, "tuning")
            losses = self._tuning(losses, self._problems, seed, self._progress)
        contests = [self._contest(losses)]
        if self._keep_untuned:
            contests.append(self._contest(self._population(candidates, deviation=0.0)))
        for (key, expression), *rivals in zip(candidates.items(), *contests, strict=True):
            row, trial = min(rivals, key=_rank)
            self._archive.add(key, Record(expression, tuple(row[: expression.size]), trial))
            self._count(_outcome(trial))
        self._count("trained", len(candidates) * len(contests))

    def _contest(self, losses: LossPopulation) -> list[tuple[list[float], Trial]]:
        """Train a network under each loss; return coefficients and how they fared."""
        seed = derive_seed(self._seed, "fitness")
        trials = self._fitness(losses, self._problems, seed, self._progress)
        return list(zip(losses.coefficients.tolist(), trials, strict=True))

    def fitness(self, expression: Expression) -> float:
        """Return the fitness of an expression that was sieved and, if need be, trained."""
        return self._archive.fitness(canonical(expression))

    def _is_known(self, key: str) -> bool:
        return key in self._waiting or self._archive.knows(key)

    def _unlike(self, fresh: Candidates) -> Candidates:
        """Return the candidates whose gradients are met for the first time."""
        if not (self._filters.gradient_equivalence and fresh):
            return fresh
        unlike = {}
        gradients = gradient_keys(list(fresh.values()), self._spread, self._kind)
        for (key, expression), gradient in zip(fresh.items(), gradients, strict=True):
            if gradient is None:
                self._reject(key, expression, "rejected: no finite slope to follow")
            elif self._archive.follows(key, gradient):
                self._count("equal in gradient")
            else:
                unlike[key] = expression
        return unlike

    def _not_rejected(self, candidates: Candidates) -> Candidates:
        """Return the candidates that improve free predictions."""
        if not (self._filters.rejection_steps and candidates):
            return candidates
        losses = self._population(candidates, deviation=0.0)
        steps = self._filters.rejection_steps
        improved = improves_predictions(losses, self._fresh, self._kind, steps)
        accepted = {}
        for (key, expression), good in zip(candidates.items(), improved, strict=True):
            if good:
                accepted[key] = expression
            else:
                self._reject(key, expression, "rejected: does not improve predictions")
        return accepted

    def _population(self, candidates: Candidates, deviation: float) -> SymbolicPopulation:
        return SymbolicPopulation(
            [self._loss(expression, deviation) for expression in candidates.values()],
            self._problems[0].task.device,
        )

    def _loss(self, expression: Expression, deviation: float) -> SymbolicLoss:
        generator = torch_generator(self._seed, "coefficients", to_text(expression))
        noise = torch.randn(expression.size, generator=generator)
        return SymbolicLoss(
            expression, 1 + deviation * noise, kind=self._kind, softplus=self._softplus
        )

    def _reject(self, key: str, expression: Expression, reason: str) -> None:
        trial = Trial(math.inf, 0, reason, ())
        self._archive.add(key, Record(expression, (1.0,) * expression.size, trial))
        self._count("rejected")

    def _count(self, what: str, how_many: int = 1) -> None:
        self._archive.counts[what] += how_many


def _rank(rival: tuple[list[float], Trial]) -> tuple[bool, float]:
    """Put full runs before those that were stopped."""
    return rival[1].reason is not None, rival[1].fitness


def _outcome(trial: Trial) -> str:
    return "in full" if trial.reason is None else trial.reason.partition(":")[0]
