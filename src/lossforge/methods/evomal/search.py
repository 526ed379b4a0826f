"""EvoMAL, GP-LFL and random search: expressions evolve or not, with and without local search.

Source: Raymond et al., "Learning Symbolic Model-Agnostic Loss Functions via Meta-Learning"
(arXiv 2209.08907), Algorithm 1; thesis, ch. 4. Beyond the paper, and switchable: filters before
local search, gradient equivalence, racing, and re-evaluation of the fittest.
"""

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, final

import torch
from torch import Tensor

from lossforge.losses import Loss, LossPopulation, SymbolicLoss, as_population
from lossforge.losses.class_weights import check_weighting, class_weights
from lossforge.losses.expression import to_text
from lossforge.methods.evomal.candidate_filter import CandidateFilter
from lossforge.methods.evomal.filters import Filters
from lossforge.methods.evomal.fitness_cache import FitnessCache
from lossforge.methods.evomal.genetics import Genetics, Individual
from lossforge.methods.evomal.genome import Genome
from lossforge.methods.evomal.islands import Island, migrate, settled
from lossforge.methods.evomal.unit_steps import UnitSteps, best_scale
from lossforge.randomness import torch_generator
from lossforge.searching import (
    Archive,
    Evaluation,
    FrontMember,
    MetaTraining,
    OptionName,
    PopulationSearch,
    Problem,
    SearchContext,
    State,
)
from lossforge.validation import require, require_in_range, require_whole

Tuned = Literal["candidates", "finalists"]

ClassWeights = Literal["none", "balanced", "root", "rival"]

INITIAL_DEVIATION = 1e-3
"""standard deviation of the coefficients around one, where local search begins"""

PAPER: Mapping[str, Any] = {"racing": False, "parsimony": 1.0}
"""the fittest wins, whatever its size, and every fitness run is made in full"""

QUICK: Mapping[str, Any] = {
    "population": 48,
    "generations": 6,
    "search_width": 128,
    # Only where the metric brings weighted rivals.
    "class_weights": "rival",
    # Candidates without a scale, whose coefficients evolve.
    "scales": (0.1, 0.3, 1.0),
    "inherit": True,
    "coefficient_spread": 0.7,
    "crossover": 0.4,
    "mutation": 0.25,
    "perturbation": 0.35,
    "differences": True,
    "filter_steps": 50,
    "redraws": 4,
    # Many are trained for a few steps, and few for many.
    "fitness_steps": 400,
    "fitness_measure": "margin",
    "halving": 0.34,
    # On wine, all of a search's finalists failed from most initializations but the candidates' one.
    "fresh_initializations": True,
    "fitness_repeats": 2,
    "finalists": 16,
    "final_kept": 5,
    "final_folds": 4,
    "final_runs": 5,
    "final_length": 1.0,
    "final_simplest": True,
    "confirmed_steps": 200,
    "confirmed_factors": (1 / 3, 1.0, 3.0),
}
"""What departs from the paper, each an option; benchmarks/ablation.py measures what it pays."""

QUICK_TUNING: Mapping[str, Any] = {
    "tune": "finalists",
    "meta_steps": 40,
    "meta_learning_rate": 0.02,
    "horizon": 20,
    "task_loss": "calibrated",
}


@final
@dataclass
class Evolution:
    """The state of a search between generations.

    Attributes:
        islands: the populations.
        cache: fitness of all expressions so far.
        generation: how many generations were evaluated.
        scale: factor on the default loss that is best for it; None where candidates have no scale.
        steps: training steps under candidates so far.
    """

    islands: list[Island]
    cache: FitnessCache = field(default_factory=FitnessCache)
    generation: int = 0
    scale: float | None = None
    steps: int = 0


@dataclass(frozen=True)
class ExpressionSearch(PopulationSearch[Evolution, Genome], ABC):
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
    islands: int = 1
    """populations that evolve by themselves, each of the size of population; more keep more workers
    of a cluster busy (not in the paper)"""
    migrate_every: int = 1
    """generations after which the fittest of each island takes the place of the least fit of the
    next one"""
    seed_expressions: tuple[str, ...] = ()
    """expressions in the first generation, written out or as zoo:NAME; the others are random"""
    inherit: bool = False
    """offspring start from their parents' coefficients instead of 1 (not in the paper)"""
    scales: tuple[float, ...] = ()
    """sizes of a first candidate's first steps that are tried, relative to those of the default
    loss at its best factor; later ones inherit theirs. Without any, as in the paper, a candidate's
    size and sign are what its formula gives"""
    class_weights: ClassWeights = "none"
    """weights of the classes in every candidate, which become a part of the loss that is found:
    balanced for classes that count alike, root for the roots of their numbers, rival for those of
    the best handcrafted loss, where it has some and the handcrafted losses are calibrated; none, as
    in the papers"""
    search_width: int = 0
    """hidden units of the narrower networks that candidates are tried on, where the network is a
    sequence of wider dense layers; 0 for the network itself, as in the paper"""
    budget: Annotated[int, OptionName("search_steps")] = 0
    """training steps under candidates after which no further generation begins; 0 for no limit"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole("islands", self.islands, 1)
        require_whole("migrate_every", self.migrate_every, 1)
        require(
            len(self.seed_expressions) <= self.population,
            f"{len(self.seed_expressions)} seed_expressions do not fit a population of "
            f"{self.population}",
        )
        require(
            all(scale > 0 for scale in self.scales) and not (self.scales and self.softplus),
            "scales must be positive, and none can be given together with softplus, which hides a "
            "loss's size",
        )
        require_in_range("search_width", self.search_width, 0)
        require_in_range("search_steps", self.budget, 0)
        self._seeds()

    def trial_problems(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        """Return the networks that candidates are tried on."""
        if not self.search_width:
            return tuple(problems)
        return tuple(problem.narrowed(self.search_width) for problem in problems)

    def init(self, context: SearchContext) -> Evolution:
        """Return the state before the first generation."""
        state = Evolution(settled(self.islands, context))
        if self.scales:
            state.scale = best_scale(self.fitness, self.base, context, self._weight(context))
        return state

    def is_done(self, state: Evolution) -> bool:
        """Return whether the training steps are used up."""
        return 0 < self.budget <= state.steps

    def ask(self, state: Evolution, context: SearchContext) -> list[Genome]:
        """Return the genomes of the next generation that no filter settles."""
        unsettled = CandidateFilter(
            self.filters,
            decode=partial(self.decode, context=context),
            context=context,
            cache=state.cache,
        )
        seeds = self._seeds()
        return [
            genome
            for i, island in enumerate(state.islands)
            for genome in self._next_generation(
                island, seeds[i :: self.islands], unsettled, state, context
            )
        ]

    def decode(self, candidate: Genome, context: SearchContext) -> SymbolicLoss:
        """Return the genome as a trainable loss (transition); the paper's coefficients are 1."""
        return SymbolicLoss(
            candidate.expression,
            candidate.coefficients,
            kind=context.kind,
            softplus=self.softplus,
            weight=self._weight(context),
        )

    def tell(
        self,
        state: Evolution,
        candidates: Sequence[Genome],
        evaluations: Sequence[Evaluation],
    ) -> None:
        """Give every expression of the generation its fitness: it becomes the parents."""
        # Algorithm 1: the fitness of a loss is the metric after training under it.
        trained = {}
        for genome, evaluation in zip(candidates, evaluations, strict=True):
            state.cache.add(genome.key, evaluation.fitness)
            state.steps += evaluation.trial.steps
            trained[genome.key] = self._bequeathed(genome, evaluation)
            state.cache.add(trained[genome.key].key, evaluation.fitness)
        for island in state.islands:
            island.parents = [
                Individual(trained.get(genome.key, genome), state.cache.fitness(genome.key))
                for genome in island.offspring
            ]
            island.offspring = []
        state.generation += 1
        if state.generation % self.migrate_every == 0:
            migrate(state.islands)

    def counts(self, state: Evolution, archive: Archive) -> dict[str, int]:
        """Return what became of the candidates, those included that a filter settled."""
        return archive.counts() | state.cache.counts

    def front(self, archive: Archive) -> tuple[FrontMember, ...]:
        """Return the Pareto front of fitness against size."""
        return archive.front()

    def save(self, state: Evolution) -> State:
        """Return the state as plain data."""
        return {
            "islands": [island.save() for island in state.islands],
            "cache": state.cache.state(),
            "generation": state.generation,
            "scale": state.scale,
            "steps": state.steps,
        }

    def load(self, saved: State, context: SearchContext) -> Evolution:
        """Return the state that was saved."""
        # Older versions had one population, whose state stood beside the rest.
        islands = saved.get("islands", [saved])
        return Evolution(
            [Island.load(island) for island in islands],
            FitnessCache.from_state(saved["cache"]),
            saved.get("generation", 0),
            saved.get("scale"),
            saved.get("steps", 0),
        )

    def _next_generation(
        self,
        island: Island,
        seeds: list[Genome],
        unsettled: CandidateFilter,
        state: Evolution,
        context: SearchContext,
    ) -> list[Genome]:
        """Return the genomes of an island's next generation that no filter settles."""
        # Algorithm 1: the first generation is random; later ones are the elite and offspring.
        generation = self._elite(island) or self._scaled(seeds, state, context)
        accepted = unsettled(generation)
        for attempt in range(1 + self.filters.resample):
            missing = self.population - len(generation)
            born = self._scaled(self._born(island, missing, context), state, context)
            new = unsettled(born)
            generation += born if attempt == self.filters.resample else new
            accepted += new
        if state.scale is not None and not (island.parents and self.evolves):
            generation = accepted = self._in_sizes(accepted, state.scale)
        island.offspring = generation
        return accepted

    def _elite(self, island: Island) -> list[Genome]:
        return self.genetics.elite(island.parents) if self.evolves else []

    def _born(self, island: Island, count: int, context: SearchContext) -> list[Genome]:
        genetics = self.genetics.adapted(context.kind)
        if island.parents and self.evolves:
            return genetics.offspring(island.parents, count, island.generator)
        return genetics.first_generation(count, island.generator)

    def _seeds(self) -> list[Genome]:
        return [Genome.read(text) for text in self.seed_expressions]

    def _weight(self, context: SearchContext) -> Tensor | None:
        """Return the weights of the classes in every candidate; None for none."""
        if self.class_weights in ("none", "rival"):
            return None
        require(
            len(context.problems) == 1,
            f"class_weights {self.class_weights} counts the classes of one task; search on one, or "
            "without it",
        )
        task = context.problems[0].task
        weighting = check_weighting(self.class_weights)
        return class_weights(task.train.targets, task.kind, task.outputs, weighting).cpu()

    def _scaled(
        self, genomes: list[Genome], state: Evolution, context: SearchContext
    ) -> list[Genome]:
        """Return genomes whose first steps are as large as their scale says, if they have one."""
        if state.scale is None:
            return genomes
        sized = [
            replace(genome, scale=state.scale * max(self.scales))
            if genome.scale is None
            else genome
            for genome in genomes
        ]
        unit = UnitSteps.of(context.problems, self.filters.rows, context.root_seed)
        found = unit.scaled(sized, [self.decode(genome, context) for genome in sized])
        state.cache.counts["candidates"] += len(genomes) - len(found)
        state.cache.counts["rejected"] += len(genomes) - len(found)
        return found

    def _in_sizes(self, genomes: list[Genome], best: float) -> list[Genome]:
        """Return each genome with first steps of all sizes."""
        return [
            UnitSteps.resized(genome, best * scale) for scale in self.scales for genome in genomes
        ]

    def _bequeathed(self, genome: Genome, evaluation: Evaluation) -> Genome:
        """Return what offspring inherit of a genome that was trained under."""
        loss = evaluation.loss
        if not self.inherit or not isinstance(loss, SymbolicLoss):
            return genome
        coefficients = loss.coefficients.tolist()
        ratio = abs(coefficients[0] / genome.coefficients[0])
        scale = None if genome.scale is None else genome.scale * ratio
        return Genome(genome.expression, tuple(coefficients), scale)


@dataclass(frozen=True)
class TunedSearch(ExpressionSearch, ABC):
    """A search over expressions whose coefficients follow the hypergradient."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": PAPER,
        "quick": {**QUICK, **QUICK_TUNING},
    }

    tuning: MetaTraining = MetaTraining()
    """local search of the coefficients"""
    tune: Tuned = "candidates"
    """whose coefficients local search tunes: all candidates', as in the paper, or only the
    finalists', which then compete with their untuned versions"""

    @final
    def refine(
        self, losses: LossPopulation, candidates: Sequence[Genome], context: SearchContext
    ) -> list[LossPopulation]:
        """Return the losses after local search, and as they were where those are kept too."""
        if self.tuning.steps == 0 or self.tune != "candidates":
            return [losses]
        # Algorithm 1: transition to a trainable loss, then optimization of its coefficients.
        noisy = losses.with_coefficients(self._initial(losses, candidates, context))
        tuned = context.training.tune(self.tuning, noisy, self.base, context.seed("tuning"))
        if self.scales:
            tuned = self._resized(tuned, losses, context)
        return [tuned, losses] if self.keep_untuned else [tuned]

    @final
    def polish(self, losses: Sequence[Loss], context: SearchContext) -> list[Loss]:
        """Return the finalists with tuned coefficients, where only finalists are tuned."""
        if self.tuning.steps == 0 or self.tune != "finalists" or not losses:
            return []
        population = as_population(losses, context.device)
        tuned = context.training.tune(self.tuning, population, self.base, context.seed("tuning"))
        if self.scales:
            tuned = self._resized(tuned, population, context)
        genetics = self.genetics.adapted(context.kind)
        return [genetics.tied(tuned.loss(i)).cpu() for i in range(len(tuned))]

    def _initial(
        self, losses: LossPopulation, candidates: Sequence[Genome], context: SearchContext
    ) -> torch.Tensor:
        """Return coefficients times N(1, 1e-3), the same for the same expression, [P, N]."""
        coefficients = losses.coefficients.cpu().clone()
        for row, genome in zip(coefficients, candidates, strict=True):
            text = to_text(genome.expression)
            generator = torch_generator(context.root_seed, "coefficients", text)
            noise = torch.randn(genome.size, generator=generator)
            row[: genome.size] *= 1 + INITIAL_DEVIATION * noise
        return coefficients.to(context.device)

    def _resized(
        self, tuned: LossPopulation, losses: LossPopulation, context: SearchContext
    ) -> LossPopulation:
        """Return tuned losses with first steps as large as before: only their shape was tuned."""
        unit = UnitSteps.of(context.problems, self.filters.rows, context.root_seed)
        coefficients = tuned.coefficients.clone()
        after, before = (unit.factors(_symbolic(each)) for each in (tuned, losses))
        for row, theirs, ours in zip(coefficients, after, before, strict=True):
            if theirs is not None and ours is not None:
                row[0] *= theirs / ours
        return tuned.with_coefficients(coefficients)


def _symbolic(losses: LossPopulation) -> list[SymbolicLoss]:
    each = [losses.loss(i) for i in range(len(losses))]
    return [loss for loss in each if isinstance(loss, SymbolicLoss)]


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
        >>> search.run(load("iris"), model="linear").loss.kind.name
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
