"""Fitness runs as jobs for an executor, of a size that does not depend on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

from lossforge.losses import Loss, as_population
from lossforge.searching.executors import Report
from lossforge.searching.fitness import Fitness, Trial
from lossforge.searching.problem import BaseTraining, Problem
from lossforge.training import Stacking, choose_stacking


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
        """Yield the smallest jobs that give the same numbers, the losses in order."""
        strategy = self.fitness.stacking
        for losses in independent_groups(self.losses, problems, self.base, strategy):
            yield replace(self, losses=losses)


def independent_groups(
    losses: Sequence[Loss],
    problems: Sequence[Problem],
    base: BaseTraining,
    stacking: Stacking = "auto",
) -> list[tuple[Loss, ...]]:
    """Return losses in groups that give the same numbers wherever each of them is computed.

    Networks that train one after the other are independent. Those that train stacked stay together:
    in a stack of another size their sums would be rounded otherwise. So the number of workers
    decides nothing.

    Args:
        losses: to train networks under.
        problems: to train on.
        base: how networks are trained.
        stacking: the strategy of the ensembles.
    """
    strategies = {
        choose_stacking(base.setup(problem, 0)) if stacking == "auto" else stacking
        for problem in problems
    }
    return [tuple(losses)] if "stacked" in strategies else [(loss,) for loss in losses]


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
