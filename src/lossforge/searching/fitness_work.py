"""Fitness runs as jobs for an executor, of a size that does not depend on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

from lossforge.losses import Loss, as_population
from lossforge.searching.executors import Report
from lossforge.searching.fitness import Fitness, Trial
from lossforge.searching.problem import BaseTraining, Problem
from lossforge.training import choose_stacking


@final
@dataclass(frozen=True)
class FitnessJob:
    """Fitness runs that share a job.

    Attributes:
        losses: to train networks under.
        fitness: how long, and how it is measured.
        base: how networks are trained.
        seed: of initializations and batches.
        curves: of complete runs, by which racing judges.
    """

    losses: tuple[Loss, ...]
    fitness: Fitness
    base: BaseTraining
    seed: int
    curves: tuple[tuple[float, ...], ...] = ()

    def split(self, problems: Sequence[Problem]) -> Iterator["FitnessJob"]:
        """Yield the smallest jobs that give the same numbers, the losses in order.

        Networks that train one after the other are independent. Those that train stacked stay
        together: in a stack of another size their sums would be rounded otherwise. So the number of
        workers decides nothing.

        Args:
            problems: to train on.
        """
        if any(self._is_stacked(problem) for problem in problems):
            yield self
            return
        for loss in self.losses:
            yield replace(self, losses=(loss,))

    def _is_stacked(self, problem: Problem) -> bool:
        strategy = self.fitness.stacking
        if strategy == "auto":
            strategy = choose_stacking(self.base.setup(problem, self.seed))
        return strategy == "stacked"


@final
@dataclass(frozen=True)
class FitnessWork:
    """Computes fitness jobs.

    Attributes:
        problems: to train on.
    """

    problems: tuple[Problem, ...]

    def __call__(self, job: FitnessJob, report: Report) -> list[Trial]:
        """Return the trials of a job's losses, in order."""
        losses = as_population(job.losses, self.problems[0].task.device)
        return job.fitness(losses, self.problems, job.base, job.seed, report, job.curves)
