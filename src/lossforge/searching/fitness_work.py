"""Fitness runs as jobs for an executor, of a size that does not depend on it.

Networks that train stacked are rounded otherwise in a stack of another size. So they are divided
into chunks by their number alone, and any number of workers gives the same numbers.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, final

from lossforge.losses import Loss, as_population
from lossforge.searching.executors import Report
from lossforge.searching.fitness import Fitness, FitnessNetworks, Measured, Trial, Verdicts
from lossforge.searching.problem import BaseTraining, Problem
from lossforge.training import EnsembleState, Stacking, choose_stacking

LARGEST_STACK = 16
"""networks in a stack on a CPU, at most: more were no faster; see benchmarks/stacking.py"""

LARGEST_STACK_ON_GPU = 64

UNDIVIDED = 8
"""networks that stay in one stack, which takes little time"""

UNDIVIDED_SURVIVORS = 3
"""the same after a rung, where few networks are left for most of the steps"""

LARGEST_STATE = 64 * 2**20
"""bytes of a network and its optimizer up to which they are sent from rung to rung; a larger one is
trained anew from the start"""


class ProblemJob(Protocol):
    """Something to compute on problems, which stay where they are while jobs come and go."""

    def on(self, problems: Sequence[Problem], report: Report) -> Any:
        """Return the result of the job.

        Args:
            problems: to train on.
            report: receives progress.
        """


@final
@dataclass(frozen=True)
class ProblemWork:
    """Computes jobs on problems, whose data are sent to each worker once.

    Attributes:
        problems: to train on.
    """

    problems: tuple[Problem, ...]

    def __call__(self, job: ProblemJob, report: Report) -> Any:
        """Return the result of a job."""
        return job.on(self.problems, report)


@final
@dataclass(frozen=True)
class Fold:
    """Which of the folds of a problem's rows networks train on.

    Attributes:
        number: of the fold; one that is too large begins again from the first.
        count: how many folds there are at most; 1 for the rows as they are.
    """

    number: int = 0
    count: int = 1

    def of(self, problem: Problem) -> Problem:
        """Return a problem with the rows of the fold."""
        if self.count == 1:
            return problem
        folds = problem.folds(self.count)
        return folds[self.number % len(folds)]


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
        fold: of the rows that are trained on.
    """

    losses: tuple[Loss, ...]
    fitness: Fitness
    base: BaseTraining
    seed: int
    curves: tuple[tuple[float, ...], ...] = ()
    fold: Fold = Fold()

    def split(self, problems: Sequence[Problem]) -> Iterator["FitnessJob"]:
        """Yield the jobs of the losses' chunks, in order."""
        for losses in chunks(self.losses, problems, self.base, self.fitness.stacking):
            yield replace(self, losses=losses)

    def on(self, problems: Sequence[Problem], report: Report) -> list[Trial]:
        """Train a network under each loss and return the trials, in order.

        Args:
            problems: tasks and networks; fitness is the mean over them.
            report: receives the steps made.
        """
        losses = as_population(self.losses, problems[0].task.device)
        folds = [self.fold.of(problem) for problem in problems]
        networks = FitnessNetworks(self.fitness, losses, folds, self.base, self.seed)
        verdicts = Verdicts(self.fitness, len(losses), len(folds), self.curves)
        for rung in self.fitness.rungs():
            for ensemble, steps in networks.stretches(rung, report):
                ensemble.advance(steps)
            staying = verdicts.judge(rung, networks.measured())
            if not staying:
                break
            networks.keep(staying)
        return verdicts.trials()

    def given_up(self, reason: str) -> list[Trial]:
        """Return what stands for the trials if no worker can compute them."""
        return [Trial(math.inf, 0, f"not computed: {reason}", ()) for _ in self.losses]


@final
@dataclass(frozen=True)
class RungResult:
    """Candidates at a rung.

    Attributes:
        measured: how they fare.
        states: where training stands, for each task; empty where it cannot go on from here.
    """

    measured: Measured
    states: tuple[EnsembleState, ...] = ()


@final
@dataclass(frozen=True)
class RungJob:
    """Fitness runs from one rung to the next.

    Attributes:
        losses: to train networks under.
        fitness: how long, and how it is measured.
        base: how networks are trained.
        seed: of initializations and batches.
        until: the step of the rung.
        begin: steps that were made already.
        states: where training stood then, for each task; empty at the start.
    """

    losses: tuple[Loss, ...]
    fitness: Fitness
    base: BaseTraining
    seed: int
    until: int
    begin: int = 0
    states: tuple[EnsembleState, ...] = ()

    def on(self, problems: Sequence[Problem], report: Report) -> RungResult:
        """Return how the candidates fare at the rung."""
        losses = as_population(self.losses, problems[0].task.device)
        networks = FitnessNetworks(self.fitness, losses, problems, self.base, self.seed)
        if self.states:
            networks.restore(self.states, self.begin)
        begin = self.begin if self.states else 0

        def of_rung(stage: str, step: int, steps: int) -> None:
            report(stage, step - begin, self.until - begin)

        for ensemble, steps in networks.stretches(self.until, of_rung):
            ensemble.advance(steps)
        measured = networks.measured()
        if self.until == self.fitness.steps:
            return RungResult(measured)
        states = networks.state()
        is_small = sum(state.bytes_each for state in states) <= LARGEST_STATE
        return RungResult(measured, states if is_small else ())

    def given_up(self, reason: str) -> RungResult:
        """Return what stands for the result if no worker can compute it."""
        count = len(self.losses)
        worst = (math.inf,) * count
        return RungResult(Measured(worst, worst, (f"not computed: {reason}",) * count))


def chunks(
    losses: Sequence[Loss],
    problems: Sequence[Problem],
    base: BaseTraining,
    stacking: Stacking = "auto",
    undivided: int = UNDIVIDED,
) -> list[tuple[Loss, ...]]:
    """Return losses in chunks, each to be computed in one place.

    Args:
        losses: to train networks under.
        problems: to train on.
        base: how networks are trained.
        stacking: the strategy of the ensembles.
        undivided: networks that stay in one stack.
    """
    limit = stack_limit(problems, base, stacking)
    return [tuple(losses[i] for i in part) for part in divided(len(losses), limit, undivided)]


def stack_limit(
    problems: Sequence[Problem], base: BaseTraining, stacking: Stacking = "auto"
) -> int:
    """Return how many networks train in one stack at most; 1 where each trains by itself."""
    strategies = {
        choose_stacking(base.setup(problem, 0)) if stacking == "auto" else stacking
        for problem in problems
    }
    if "stacked" not in strategies:
        return 1
    on_cpu = problems[0].task.device.type == "cpu"
    return LARGEST_STACK if on_cpu else LARGEST_STACK_ON_GPU


def divided(count: int, limit: int, undivided: int = UNDIVIDED) -> list[range]:
    """Return places in parts of nearly equal size.

    Args:
        count: of places.
        limit: size of a part, at most.
        undivided: places that are one part, if the limit allows. More are an even number of
            parts, so that two workers have as much to do.

    Examples:
        >>> [len(part) for part in divided(48, 16)]
        [12, 12, 12, 12]
        >>> divided(8, 16)
        [range(0, 8)]
    """
    if limit == 1 or count <= min(limit, undivided):
        parts = count if limit == 1 else 1
    else:
        parts = 2 * math.ceil(count / (2 * limit))
    bounds = [count * i // max(1, parts) for i in range(parts + 1)]
    return [range(begin, end) for begin, end in pairwise(bounds)]
