"""Searches by generations of candidates."""

from abc import ABC
from dataclasses import dataclass
from typing import TypeVar

from lossforge.searching.fitness import Fitness
from lossforge.searching.method import Method
from lossforge.searching.problem import BaseTraining
from lossforge.searching.reevaluation import Reevaluation
from lossforge.validation import require_in_range

StateT = TypeVar("StateT")
CandidateT = TypeVar("CandidateT")


@dataclass(frozen=True)
class PopulationSearch(Method[StateT, CandidateT], ABC):
    """A search by generations of candidates, each of which is trained under for its fitness.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    population: int = 25
    """candidates in a generation"""
    generations: int = 50
    """generations, the first random one included"""
    base: BaseTraining = BaseTraining()
    """training of networks under a candidate"""
    fitness: Fitness = Fitness()
    """fitness runs"""
    reevaluation: Reevaluation = Reevaluation()
    """choice of the result among the fittest"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_in_range("population", self.population, 2)
        require_in_range("generations", self.generations, 1)

    @property
    def rounds(self) -> int:
        """One for each generation."""
        return self.generations
