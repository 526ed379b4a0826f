"""The steps of a search, which a method writes, after evosax (Lange, arXiv 2212.04180).

- `init` returns the state before the first round, an object of the method's own;
- `ask` returns the candidates of a round;
- `decode` turns a candidate into a loss;
- `tell` receives how networks fared under the candidates.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, ClassVar, Generic, TypeVar

from lossforge.losses import Loss, LossPopulation
from lossforge.searching.archive import Archive, Evaluation
from lossforge.searching.context import SearchContext
from lossforge.searching.fitness import Fitness
from lossforge.searching.problem import BaseTraining, Problem
from lossforge.searching.reevaluation import Reevaluation
from lossforge.searching.result import FrontMember

StateT = TypeVar("StateT")
CandidateT = TypeVar("CandidateT")


class AskTell(ABC, Generic[StateT, CandidateT]):
    """The steps of a search.

    Type parameters: of the state between rounds, and of a candidate.
    """

    remedy: ClassVar[str] = "raise population or generations, or lower learning_rate"
    """what to do if no network could be trained under any candidate"""

    @property
    @abstractmethod
    def base(self) -> BaseTraining:
        """How networks are trained under a candidate."""

    @property
    @abstractmethod
    def fitness(self) -> Fitness:
        """How the fitness of a candidate is measured."""

    @property
    def reevaluation(self) -> Reevaluation:
        """How the result is chosen among the fittest; by default the fittest is taken."""
        return Reevaluation()

    def trial_problems(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        """Return the networks that candidates are tried on; by default those of the search."""
        return tuple(problems)

    @property
    @abstractmethod
    def rounds(self) -> int:
        """How many rounds there are at most."""

    @abstractmethod
    def init(self, context: SearchContext) -> StateT:
        """Return the state before the first round."""

    @abstractmethod
    def ask(self, state: StateT, context: SearchContext) -> Sequence[CandidateT]:
        """Return the candidates of the next round; `state` may be changed."""

    @abstractmethod
    def decode(self, candidate: CandidateT, context: SearchContext) -> Loss:
        """Return the loss that a candidate stands for."""

    @abstractmethod
    def tell(
        self, state: StateT, candidates: Sequence[CandidateT], evaluations: Sequence[Evaluation]
    ) -> None:
        """Update `state` by the evaluations of what `ask` returned, in the same order."""

    def refine(
        self,
        losses: LossPopulation,
        candidates: Sequence[CandidateT],
        context: SearchContext,
    ) -> list[LossPopulation]:
        """Return versions of the round's losses to train networks under; the best of each is kept.

        For local search of coefficients; by default the losses as they were decoded.

        Args:
            losses: what `decode` returned for each candidate.
            candidates: what `ask` returned.
            context: of the search.
        """
        return [losses]

    def polish(self, losses: Sequence[Loss], context: SearchContext) -> list[Loss]:
        """Return further finalists made of the fittest losses; by default none."""
        return []

    def is_done(self, state: StateT) -> bool:
        """Return whether to stop before all rounds are made."""
        return False

    def rank(self, state: StateT, archive: Archive) -> list[Evaluation]:
        """Return the evaluations among which the result is chosen, the best first."""
        return archive.complete()

    def counts(self, state: StateT, archive: Archive) -> dict[str, int]:
        """Return what became of the candidates so far, for people and for the result."""
        return archive.counts()

    def front(self, archive: Archive) -> tuple[FrontMember, ...]:
        """Return the Pareto front of fitness against size; none where all losses are of a size."""
        return ()

    def save(self, state: StateT) -> Any:
        """Return the state after a round as plain data; override it where it is not plain."""
        return deepcopy(state)

    def load(self, saved: Any, context: SearchContext) -> StateT:
        """Return the state that `save` was given; override it together with `save`."""
        state: StateT = deepcopy(saved)
        return state
