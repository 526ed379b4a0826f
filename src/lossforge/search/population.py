"""Searches that rank candidates by short trainings: what they all share."""

from abc import ABC
from collections.abc import Iterable
from dataclasses import dataclass

from lossforge.search.fitness import Fitness, Race
from lossforge.search.method import Method
from lossforge.search.reevaluation import Final
from lossforge.training import Stacking
from lossforge.validation import require_in_range


@dataclass(frozen=True)
class Contest(Method, ABC):
    """A search by generations of candidates, each trained for a fitness.

    Racing, the best look and the final are not in the papers, and change nothing but by option.
    """

    population: int = 25
    """candidates in a generation"""
    generations: int = 50
    """generations, the first random one included"""
    fitness_steps: int = 500
    """steps of training before a candidate's fitness is measured"""
    racing: bool = True
    """stop hopeless fitness runs early (not in the paper)"""
    racing_tolerance: float = 0.01
    """by how much of the metric racing may miss the winner"""
    best_look: bool = False
    """a candidate's fitness is its best look at validation data, not its last, as where training
    will stop early or keep the best weights (not in the paper)"""
    finalists: int = 1
    """how many of the fittest are trained anew, from other initializations, before one is chosen
    (the paper takes the fittest as it stands: 1)"""
    final_runs: int = 3
    """initializations of the final among finalists"""
    final_steps: int = 0
    """steps of training in the final; 0 for fitness_steps. More find out losses that go wrong
    later"""
    stacking: Stacking = "auto"
    """train candidates as one stacked network, separately, or as was measured to be faster"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_in_range("population", self.population, 2)
        require_in_range("generations", self.generations, 1)
        self._fitness()
        self._final()

    @property
    def rounds(self) -> int:
        """One a generation."""
        return self.generations

    def _fitness(self, curves: Iterable[tuple[float, ...]] = ()) -> Fitness:
        """Return how candidates are trained, given the curves of those trained in full."""
        race = Race(self.racing_tolerance, tuple(curves)) if self.racing else None
        return Fitness(self.fitness_steps, self, self.stacking, race, self.best_look)

    def _final(self) -> Final:
        return Final(self.finalists, self.final_runs, self.final_steps)
