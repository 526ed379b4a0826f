"""EvoMAL, GP-LFL and random search: expressions evolve or not, with and without local search.

Source: Raymond et al., "Learning Symbolic Model-Agnostic Loss Functions via Meta-Learning"
(arXiv 2209.08907), Algorithm 1; thesis, ch. 4. Beyond the paper, and switchable: filters before
local search, gradient equivalence, racing, and re-evaluation of the fittest.
"""

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, final

import torch

from lossforge.losses import LossPopulation, SymbolicLoss
from lossforge.losses.expression import Expression, canonical, parse, to_text
from lossforge.methods.evomal.candidate_filter import CandidateFilter
from lossforge.methods.evomal.filters import Filters
from lossforge.methods.evomal.fitness_cache import FitnessCache
from lossforge.methods.evomal.genetics import Genetics, Individual
from lossforge.randomness import torch_generator
from lossforge.searching import (
    Archive,
    Evaluation,
    FrontMember,
    MetaTraining,
    PopulationSearch,
    SearchContext,
    State,
)
from lossforge.searching.journal import finite_or_none, infinite_if_none
from lossforge.validation import require

INITIAL_DEVIATION = 1e-3
"""standard deviation of the coefficients around one, where local search begins"""

PAPER: Mapping[str, Any] = {"racing": False, "parsimony": 1.0}
"""the fittest wins, whatever its size, and every fitness run is made in full"""

QUICK: Mapping[str, Any] = {
    "population": 12,
    "generations": 6,
    "fitness_steps": 150,
    "filter_steps": 200,
    "redraws": 4,
    "finalists": 4,
}


@final
@dataclass
class Evolution:
    """The state of a search between generations.

    Attributes:
        generator: draws expressions, parents and offspring.
        cache: fitness of all expressions so far.
        parents: the last generation.
        offspring: the generation that is being evaluated.
    """

    generator: Random
    cache: FitnessCache = field(default_factory=FitnessCache)
    parents: list[Individual] = field(default_factory=list)
    offspring: list[Expression] = field(default_factory=list)


@dataclass(frozen=True)
class ExpressionSearch(PopulationSearch[Evolution, Expression], ABC):
    """A search over expressions; subclasses say whether they evolve and are tuned."""

    evolves: ClassVar[bool] = True

    genetics: Genetics = Genetics()
    """first expressions, selection and variation"""
    filters: Filters = Filters()
    """filters before training"""
    softplus: bool = False
    """apply softplus to every loss, so that none can be negative"""
    keep_untuned: bool = False
    """train networks also under each candidate with all coefficients 1, and keep the better ones:
    judged by one step from the initialization, local search favors large steps over right ones
    (not in the paper; doubles the fitness runs)"""
    seed_expressions: tuple[str, ...] = ()
    """expressions in the first generation; the others are random"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            len(self.seed_expressions) <= self.population,
            f"{len(self.seed_expressions)} seed_expressions do not fit a population of "
            f"{self.population}",
        )
        self._seeds()

    def init(self, context: SearchContext) -> Evolution:
        """Return the state before the first generation."""
        return Evolution(context.generator("genetics"))

    def ask(self, state: Evolution, context: SearchContext) -> list[Expression]:
        """Return the expressions of the next generation that no filter settles."""
        unsettled = CandidateFilter(
            self.filters, softplus=self.softplus, context=context, cache=state.cache
        )
        # Algorithm 1: the first generation is random; later ones are the elite and offspring.
        generation = self._elite(state) or self._seeds()
        unsettled(generation)
        for attempt in range(1 + self.filters.resample):
            born = self._born(state, self.population - len(generation))
            accepted = unsettled(born)
            generation += born if attempt == self.filters.resample else accepted
        state.offspring = generation
        return list(unsettled.accepted.values())

    def decode(self, candidate: Expression, context: SearchContext) -> SymbolicLoss:
        """Return the expression as a trainable loss (transition), with all coefficients 1."""
        return SymbolicLoss(candidate, kind=context.kind, softplus=self.softplus)

    def tell(
        self,
        state: Evolution,
        candidates: Sequence[Expression],
        evaluations: Sequence[Evaluation],
    ) -> None:
        """Give every expression of the generation its fitness: it becomes the parents."""
        # Algorithm 1: the fitness of a loss is the metric after training under it.
        for expression, evaluation in zip(candidates, evaluations, strict=True):
            state.cache.add(canonical(expression), evaluation.fitness)
        state.parents = [
            Individual(expression, state.cache.fitness(canonical(expression)))
            for expression in state.offspring
        ]
        state.offspring = []

    def counts(self, state: Evolution, archive: Archive) -> dict[str, int]:
        """Return what became of the candidates, those included that a filter settled."""
        return archive.counts() | state.cache.counts

    def front(self, archive: Archive) -> tuple[FrontMember, ...]:
        """Return the Pareto front of fitness against size."""
        return archive.front()

    def save(self, state: Evolution) -> State:
        """Return the state as plain data."""
        version, numbers, gauss = state.generator.getstate()
        return {
            "generator": [version, list(numbers), gauss],
            "parents": [to_text(parent.expression) for parent in state.parents],
            "fitnesses": [finite_or_none(parent.fitness) for parent in state.parents],
            "cache": state.cache.state(),
        }

    def load(self, saved: State, context: SearchContext) -> Evolution:
        """Return the state that was saved."""
        state = self.init(context)
        version, numbers, gauss = saved["generator"]
        state.generator.setstate((version, tuple(numbers), gauss))
        state.cache = FitnessCache.from_state(saved["cache"])
        state.parents = [
            Individual(parse(text), infinite_if_none(fitness))
            for text, fitness in zip(saved["parents"], saved["fitnesses"], strict=True)
        ]
        return state

    def _elite(self, state: Evolution) -> list[Expression]:
        return self.genetics.elite(state.parents) if self.evolves else []

    def _born(self, state: Evolution, count: int) -> list[Expression]:
        if state.parents and self.evolves:
            return self.genetics.offspring(state.parents, count, state.generator)
        return self.genetics.first_generation(count, state.generator)

    def _seeds(self) -> list[Expression]:
        return [parse(text) for text in self.seed_expressions]


@dataclass(frozen=True)
class TunedSearch(ExpressionSearch, ABC):
    """A search over expressions whose coefficients follow the hypergradient."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": PAPER,
        "quick": {**QUICK, "meta_steps": 50, "meta_learning_rate": 5e-3},
    }

    tuning: MetaTraining = MetaTraining()
    """local search of the coefficients"""

    @final
    def refine(
        self, losses: LossPopulation, candidates: Sequence[Expression], context: SearchContext
    ) -> list[LossPopulation]:
        """Return the losses after local search, and as they were where those are kept too."""
        if self.tuning.steps == 0:
            return [losses]
        # Algorithm 1: transition to a trainable loss, then optimization of its coefficients.
        noisy = losses.with_coefficients(self._initial(losses, candidates, context))
        tuned = self.tuning(
            noisy, context.problems, self.base, context.seed("tuning"), context.progress
        )
        return [tuned, losses] if self.keep_untuned else [tuned]

    def _initial(
        self, losses: LossPopulation, candidates: Sequence[Expression], context: SearchContext
    ) -> torch.Tensor:
        """Return coefficients from N(1, 1e-3), the same for the same expression, [P, N]."""
        coefficients = losses.coefficients.cpu().clone()
        for row, expression in zip(coefficients, candidates, strict=True):
            text = to_text(expression)
            generator = torch_generator(context.root_seed, "coefficients", text)
            noise = torch.randn(expression.size, generator=generator)
            row[: expression.size] = 1 + INITIAL_DEVIATION * noise
        return coefficients.to(context.device)


@final
@dataclass(frozen=True)
class EvoMAL(TunedSearch):
    """Evolved model-agnostic loss: expressions evolve, hypergradients tune their coefficients.

    Examples:
        >>> from lossforge.searching import Fitness, MetaTraining
        >>> from lossforge.tasks import load
        >>> search = EvoMAL(
        ...     population=4,
        ...     generations=1,
        ...     fitness=Fitness(steps=20),
        ...     filters=Filters(rejection_steps=50),
        ...     tuning=MetaTraining(steps=2),
        ... )
        >>> search.run(load("iris"), model="linear").loss.kind
        'classification'
    """

    name: ClassVar[str] = "evomal"


@final
@dataclass(frozen=True)
class GPLFL(ExpressionSearch):
    """Genetic programming for loss function learning: EvoMAL without local search."""

    name: ClassVar[str] = "gp-lfl"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": PAPER, "quick": QUICK}


@final
@dataclass(frozen=True)
class RandomSearch(TunedSearch):
    """Random expressions without evolution, tuned as in EvoMAL: the control of every search."""

    name: ClassVar[str] = "random"
    evolves: ClassVar[bool] = False
