"""EvoMAL, GP-LFL and random search: expressions evolve or not, with and without local search.

Source: Raymond et al., "Learning Symbolic Model-Agnostic Loss Functions via Meta-Learning"
(arXiv 2209.08907), Algorithm 1; thesis, ch. 4. Beyond the paper, and switchable: filters before
local search, gradient equivalence, racing, and a final among the fittest.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, final

from lossforge.errors import LossforgeError
from lossforge.losses import SymbolicLoss
from lossforge.losses.expression import Expression, parse, to_text
from lossforge.methods.evomal.archive import Archive, Record
from lossforge.methods.evomal.evaluation import Evaluation, Filters
from lossforge.methods.evomal.genetics import Genetics, Individual
from lossforge.models import Model
from lossforge.randomness import python_generator
from lossforge.search.meta_training import MetaTraining
from lossforge.search.method import (
    Found,
    FrontMember,
    Journal,
    Silent,
    State,
    finite_or_none,
    infinite_if_none,
)
from lossforge.search.population import Contest
from lossforge.search.problem import Problem, kind_of, pose
from lossforge.tasks import Task
from lossforge.validation import require, require_in_range

QUICK: Mapping[str, Any] = {
    "population": 12,
    "generations": 6,
    "fitness_steps": 150,
    "filter_steps": 200,
    "redraws": 4,
    "finalists": 4,
}


@dataclass(frozen=True)
class GeneticSearch(Contest, ABC):
    """A search over expressions; subclasses say whether coefficients are tuned."""

    evolves: ClassVar[bool] = True

    min_depth: int = 2
    """least depth of the first expressions"""
    max_depth: int = 4
    """greatest depth of the first expressions"""
    depth_limit: int = 10
    """offspring deeper than this are discarded and their parents survive"""
    tournament: int = 4
    """contestants in a selection"""
    parsimony: float = 1.4
    """1 to 2: half of it is the chance that the smaller of two enters a tournament"""
    crossover: float = 0.7
    """chance of crossover"""
    mutation: float = 0.25
    """chance of mutation"""
    elitism: float = 0.05
    """share of the fittest that survive unchanged"""
    softplus: bool = False
    """apply softplus to every loss, so that none can be negative"""
    filter_rows: int = 100
    """predictions on which the filters try a loss"""
    filter_steps: int = 1000
    """steps of the rejection protocol; 0 turns it off"""
    gradient_filter: bool = True
    """losses with equal gradients share a fitness"""
    redraws: int = 0
    """how often offspring that a filter settles are drawn anew (not in the paper)"""
    keep_untuned: bool = False
    """train candidates also with unit coefficients and keep the better ones: one step ahead, local
    search favours large steps over right ones (not in the paper; doubles the fitness runs)"""
    seed_expressions: tuple[str, ...] = ()
    """expressions to begin with; by default the search begins at random"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_in_range("redraws", self.redraws, 0)
        require(
            len(self.seed_expressions) <= self.population,
            f"{len(self.seed_expressions)} seed_expressions do not fit a population of "
            f"{self.population}",
        )
        self._genetics()
        self._filters()
        self._seeds()
        self._tuning()

    @abstractmethod
    def _tuning(self) -> MetaTraining | None:
        """Return the local search of coefficients, if there is one."""

    def run(
        self,
        task: Task | Sequence[Task],
        model: Model = "mlp",
        seed: int = 0,
        *,
        journal: Journal | None = None,
    ) -> Found:
        """Search for a loss; see `Method.run`."""
        problems = pose(task, model)
        return _Evolution(self, problems, seed, journal or Silent()).run()

    def _genetics(self) -> Genetics:
        return Genetics(
            self.min_depth,
            self.max_depth,
            self.depth_limit,
            self.tournament,
            self.parsimony,
            self.crossover,
            self.mutation,
            self.elitism,
        )

    def _filters(self) -> Filters:
        return Filters(self.filter_rows, self.filter_steps, self.gradient_filter)

    def _seeds(self) -> list[Expression]:
        return [parse(text) for text in self.seed_expressions]


@dataclass(frozen=True)
class TunedSearch(GeneticSearch, ABC):
    """A search over expressions whose coefficients follow the hypergradient."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {**QUICK, "meta_steps": 50, "meta_learning_rate": 5e-3},
    }

    meta_steps: int = 250
    """meta steps of a candidate's local search; 0 for none"""
    meta_learning_rate: float = 1e-3
    """step size of Adam on the coefficients"""
    inner_steps: int = 1
    """steps of the base network in a meta step"""
    horizon: int = 1
    """meta steps that one network is trained through under a candidate before a fresh one is
    taken; 1 in the paper, where all candidates share fresh networks, which is faster"""

    @final
    def _tuning(self) -> MetaTraining | None:
        if self.meta_steps == 0:
            return None
        return MetaTraining(
            self.meta_steps,
            self.meta_learning_rate,
            self.inner_steps,
            self,
            horizon=self.horizon,
        )


@final
@dataclass(frozen=True)
class EvoMAL(TunedSearch):
    """Evolved model-agnostic loss: expressions evolve, hypergradients tune their coefficients.

    Examples:
        >>> from lossforge.tasks import load
        >>> search = EvoMAL(
        ...     population=4, generations=1, meta_steps=2, fitness_steps=20, filter_steps=50
        ... )
        >>> search.run(load("iris"), model="linear").loss.kind
        'classification'
    """

    name: ClassVar[str] = "evomal"


@final
@dataclass(frozen=True)
class GPLFL(GeneticSearch):
    """Genetic programming for loss function learning: EvoMAL without local search."""

    name: ClassVar[str] = "gp-lfl"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": QUICK}

    def _tuning(self) -> None:
        return None


@final
@dataclass(frozen=True)
class RandomSearch(TunedSearch):
    """Random expressions without evolution, tuned as EvoMAL's: the control of every search."""

    name: ClassVar[str] = "random"
    evolves: ClassVar[bool] = False


@final
class _Evolution:
    """One search, from its first generation or from a checkpoint to its result."""

    def __init__(
        self, settings: GeneticSearch, problems: Sequence[Problem], seed: int, journal: Journal
    ):
        self._settings, self._problems, self._seed = settings, problems, seed
        self._journal = journal
        self._genetics = settings._genetics()
        state = journal.restore()
        if state is None:
            self._archive, self._generation = Archive(), 0
            self._generator = python_generator(seed, "genetics")
            self._parents: list[Individual] = []
        else:
            self._restore(state)

    def run(self) -> Found:
        """Run the generations that are left and choose a loss (Algorithm 1)."""
        for generation in range(self._generation, self._settings.generations):
            evaluation = self._evaluation()
            expressions = self._population(evaluation)
            evaluation.train()
            self._parents = [Individual(e, evaluation.fitness(e)) for e in expressions]
            self._generation = generation + 1
            self._journal.checkpoint(self._state(), self._entry())
        return self._found()

    def _population(self, evaluation: Evaluation) -> list[Expression]:
        """Return the next generation, sieved; what the filters settle is drawn anew if asked."""
        population = self._elite() or self._settings._seeds()
        evaluation.sieve(population)
        for attempt in range(1 + self._settings.redraws):
            born = self._born(self._settings.population - len(population))
            accepted = evaluation.sieve(born)
            population += born if attempt == self._settings.redraws else accepted
        return population

    def _elite(self) -> list[Expression]:
        return self._genetics.elite(self._parents) if self._settings.evolves else []

    def _born(self, count: int) -> list[Expression]:
        if self._parents and self._settings.evolves:
            return self._genetics.offspring(self._parents, count, self._generator)
        return self._genetics.first_generation(count, self._generator)

    def _evaluation(self) -> Evaluation:
        settings = self._settings
        return Evaluation(
            self._problems,
            self._seed,
            filters=settings._filters(),
            tuning=settings._tuning(),
            fitness=settings._fitness(self._archive.curves()),
            keep_untuned=settings.keep_untuned,
            softplus=settings.softplus,
            archive=self._archive,
            progress=self._journal.progress,
        )

    def _found(self) -> Found:
        ranked = self._archive.complete()
        if not ranked:
            raise LossforgeError(
                f"none of {self._archive.counts['candidates']} candidates could train a network; "
                "raise population or generations, or lower learning_rate"
            )
        fitness = self._settings._fitness()
        ranked_losses = [(self._loss(record), record.fitness) for record in ranked]
        loss, valid = self._settings._final()(
            ranked_losses, fitness, self._problems, self._seed, self._journal.progress
        )
        return Found(
            loss=loss,
            valid=valid,
            evaluations=self._archive.counts["trained"],
            front=tuple(
                FrontMember(self._loss(record), record.expression.size, record.fitness)
                for record in self._archive.front()
            ),
            counts=dict(self._archive.counts),
        )

    def _loss(self, record: Record) -> SymbolicLoss:
        return SymbolicLoss(
            record.expression,
            record.coefficients,
            kind=kind_of(self._problems),
            softplus=self._settings.softplus,
        )

    def _entry(self) -> State:
        """Return this generation's line of history."""
        ranked = self._archive.complete()
        return {
            "generation": self._generation,
            "best": ranked[0].fitness if ranked else None,
            "expression": to_text(ranked[0].expression) if ranked else None,
            "counts": dict(self._archive.counts),
        }

    def _state(self) -> State:
        version, numbers, gauss = self._generator.getstate()
        return {
            "generation": self._generation,
            "generator": [version, list(numbers), gauss],
            "parents": [to_text(parent.expression) for parent in self._parents],
            "fitnesses": [finite_or_none(parent.fitness) for parent in self._parents],
            "archive": self._archive.state(),
        }

    def _restore(self, state: State) -> None:
        version, numbers, gauss = state["generator"]
        self._generator = Random()
        self._generator.setstate((version, tuple(numbers), gauss))
        self._generation = state["generation"]
        self._archive = Archive.from_state(state["archive"])
        self._parents = [
            Individual(parse(text), infinite_if_none(fitness))
            for text, fitness in zip(state["parents"], state["fitnesses"], strict=True)
        ]
