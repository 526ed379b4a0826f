"""Networks that train under many losses, side by side through an executor.

What is computed together depends on the losses alone, never on the executor: the same bytes come
from one process and from a thousand.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from statistics import fmean
from typing import Any, final

from torch import Tensor

from lossforge.losses import Loss, LossPopulation, as_population
from lossforge.randomness import derive_seed
from lossforge.searching.executors import Executor, Report
from lossforge.searching.fitness import Fitness, Measured, Trial, Verdicts
from lossforge.searching.fitness_work import (
    UNDIVIDED,
    UNDIVIDED_SURVIVORS,
    FitnessJob,
    Fold,
    ProblemWork,
    RungJob,
    RungResult,
    divided,
    stack_limit,
)
from lossforge.searching.journal import Progress
from lossforge.searching.meta_training import MetaTraining
from lossforge.searching.problem import BaseTraining, Problem
from lossforge.training import EnsembleState

Curves = tuple[tuple[float, ...], ...]


@final
class ParallelTraining:
    """Trains networks on problems, in chunks that an executor computes.

    A chunk that no worker can compute, since they are killed, run out of memory or take too long,
    counts as failed: its candidates have the worst fitness.

    Args:
        problems: to train on; sent to each worker once.
        executor: computes the chunks; no result depends on it.
        progress: receives the steps made.
    """

    def __init__(self, problems: Sequence[Problem], executor: Executor, progress: Progress):
        self._work = ProblemWork(tuple(problems))
        self._executor, self._progress = executor, progress

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems that networks train on."""
        return self._work.problems

    def fitness(
        self,
        fitness: Fitness,
        losses: Sequence[Loss],
        base: BaseTraining,
        seed: int,
        curves: Curves = (),
    ) -> list[Trial]:
        """Return the trial of each loss.

        Args:
            fitness: how long networks are trained, and how they are measured.
            losses: the candidates.
            base: how networks are trained.
            seed: of initializations and batches, the same for all candidates.
            curves: of complete runs, by which racing judges.
        """
        limit = stack_limit(self.problems, base, fitness.stacking)
        if fitness.halving and len(divided(len(losses), limit)) > 1:
            trials = self._halved(fitness, losses, base, seed, limit)
        else:
            portable = tuple(_portable(loss) for loss in losses)
            (trials,) = self._runs([FitnessJob(portable, fitness, base, seed, curves)], "training")
        return self._repeated(fitness, losses, base, seed, trials)

    def _repeated(
        self,
        fitness: Fitness,
        losses: Sequence[Loss],
        base: BaseTraining,
        seed: int,
        trials: Sequence[Trial],
    ) -> list[Trial]:
        """Return the trials, those of complete runs as means over further initializations."""
        again = [i for i, trial in enumerate(trials) if trial.reason is None]
        found = list(trials)
        if not again or not fitness.repeats:
            return found
        draws = [(derive_seed(seed, "repeat", run), Fold()) for run in range(fitness.repeats)]
        complete = fitness.in_full(fitness.steps)
        runs = self.runs(complete, [losses[i] for i in again], base, draws, "training")
        for i, others in zip(again, zip(*runs, strict=True), strict=True):
            found[i] = trials[i].averaged(others)
        return found

    def runs(
        self,
        fitness: Fitness,
        losses: Sequence[Loss],
        base: BaseTraining,
        draws: Sequence[tuple[int, Fold]],
        stage: str,
    ) -> list[list[Trial]]:
        """Return the trials of all losses for each draw.

        Args:
            fitness: how long networks are trained, and how they are measured; without halving.
            losses: the candidates.
            base: how networks are trained.
            draws: seeds of initializations and batches, with the folds that are trained on.
            stage: what progress calls it.
        """
        portable = tuple(_portable(loss) for loss in losses)
        runs = [FitnessJob(portable, fitness, base, seed, fold=fold) for seed, fold in draws]
        return self._runs(runs, stage)

    def _runs(self, runs: Sequence[FitnessJob], stage: str) -> list[list[Trial]]:
        """Return the trials of each run's losses."""
        steps = runs[0].fitness.steps
        by_run = [list(run.split(self.problems)) for run in runs]
        jobs = [job for jobs in by_run for job in jobs]
        found = iter(self._computed(jobs, _Span(stage, 0, steps, steps)))
        return [[trial for _ in jobs for trial in next(found)] for jobs in by_run]

    def tune(
        self, tuning: MetaTraining, losses: LossPopulation, base: BaseTraining, seed: int
    ) -> LossPopulation:
        """Return the losses with tuned coefficients.

        Args:
            tuning: how they are tuned.
            losses: the candidates.
            base: how networks are trained.
            seed: of networks and batches, the same for all candidates.
        """
        # With a horizon each loss trains a network of its own; without, they share new ones.
        limit = 1 if tuning.horizon > 1 else stack_limit(self.problems, base, "stacked")
        parts = divided(len(losses), limit)
        jobs = [
            TuningJob(tuple(_portable(losses.loss(i)) for i in part), tuning, base, seed)
            for part in parts
        ]
        found = self._computed(jobs, _Span("tuning", 0, tuning.steps, tuning.steps))
        coefficients = losses.coefficients.clone()
        for part, rows in zip(parts, found, strict=True):
            for place, row in zip(part, rows, strict=True):
                coefficients[place, : len(row)] = row.to(coefficients)
        return losses.with_coefficients(coefficients)

    def _halved(
        self, fitness: Fitness, losses: Sequence[Loss], base: BaseTraining, seed: int, limit: int
    ) -> list[Trial]:
        """Return the trials of all losses, where each rung keeps the best of all chunks."""
        verdicts = Verdicts(fitness, len(losses), len(self.problems), ())
        portable = [_portable(loss) for loss in losses]
        begin, states = 0, tuple[EnsembleState, ...]()
        for until in fitness.rungs():
            running = [portable[candidate] for candidate in verdicts.running]
            undivided = UNDIVIDED_SURVIVORS if begin else UNDIVIDED
            parts = divided(len(running), limit, undivided)
            jobs = [
                RungJob(
                    tuple(running[i] for i in part),
                    *(fitness, base, seed, until, begin),
                    tuple(state.select(part) for state in states),
                )
                for part in parts
            ]
            results = self._computed(jobs, _Span("training", begin, until, fitness.steps))
            measured = Measured.joined([result.measured for result in results])
            staying = verdicts.judge(until, measured)
            if not staying:
                break
            begin, states = until, _states_of(staying, parts, results)
        return verdicts.trials()

    def _computed(self, jobs: Sequence[Any], span: "_Span") -> list[Any]:
        """Return the results of jobs, which are equal parts of the span."""
        shares, results = [0.0] * len(jobs), list[Any]()

        def report(job: int, stage: str, done: int, total: int) -> None:
            shares[job] = done / total
            span.report(self._progress, fmean(shares))

        def give_up(job: Any, reason: str) -> Any:
            return job.given_up(reason)

        for result in self._executor.map(self._work, jobs, report, give_up):
            shares[len(results)] = 1.0
            results.append(result)
        return results


@final
@dataclass(frozen=True)
class TuningJob:
    """Local search of coefficients.

    Attributes:
        losses: whose coefficients are tuned.
        tuning: how.
        base: how networks are trained.
        seed: of networks and batches.
    """

    losses: tuple[Loss, ...]
    tuning: MetaTraining
    base: BaseTraining
    seed: int

    def on(self, problems: Sequence[Problem], report: Report) -> Tensor:
        """Return the tuned coefficients, [P, N], on the CPU."""
        losses = as_population(self.losses, problems[0].task.device)
        return self.tuning(losses, problems, self.base, self.seed, report).coefficients.cpu()

    def given_up(self, reason: str) -> Tensor:
        """Return the coefficients as they were, if no worker can tune them."""
        return as_population(self.losses).coefficients


@final
@dataclass(frozen=True)
class _Span:
    """The steps of a stage that some jobs make together.

    Attributes:
        stage: its name.
        begin: the step before the first.
        end: the last step.
        total: steps of the whole stage.
    """

    stage: str
    begin: int
    end: int
    total: int

    def report(self, progress: Progress, share: float) -> None:
        """Report that a share of the span is done."""
        progress(self.stage, round(self.begin + share * (self.end - self.begin)), self.total)


def _states_of(
    staying: Sequence[int], parts: Sequence[range], results: Sequence[RungResult]
) -> tuple[EnsembleState, ...]:
    """Return where training of the candidates that stay stands, for each task; empty for nowhere.

    Args:
        staying: places among those that ran.
        parts: which places each job had.
        results: of the jobs.
    """
    kept = set(staying)
    by_part = [
        (result.states, [i for i, place in enumerate(part) if place in kept])
        for part, result in zip(parts, results, strict=True)
    ]
    chosen = [[state.select(places) for state in states] for states, places in by_part if places]
    return tuple(EnsembleState.joined(of_task) for of_task in zip(*chosen, strict=True))


def _portable(loss: Loss) -> Loss:
    """Return a copy that can be sent to another process."""
    return deepcopy(loss).cpu()
