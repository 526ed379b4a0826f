"""The fair test of losses: full training over seeds, then test data, once.

Within a seed, all losses train from the same initialization on the same batches; seeds differ in
both. No seed was seen by a search.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, final

from lossforge.losses import Loss, as_population
from lossforge.methods import BaseTraining, Problem
from lossforge.randomness import derive_seed
from lossforge.searching.executors import Executor, Here, Report, Tally
from lossforge.searching.fitness_work import chunks
from lossforge.training import EnsembleConfig, make_ensemble
from lossforge.training.optimizers import Multistep
from lossforge.validation import require_in_range, require_whole

COMPARING = "comparing"
"""name of the stage, for progress"""

REPORT_EVERY = 25
"""steps between reports of progress"""


@final
@dataclass(frozen=True)
class Scores:
    """The metrics of one loss over the seeds.

    Attributes:
        name: of the loss.
        valid: the cost by the metric on validation data, one number a seed.
        test: the cost on test data, one number a seed; infinity for a run that diverged.
    """

    name: str
    valid: tuple[float, ...]
    test: tuple[float, ...]


@final
@dataclass(frozen=True)
class Comparison:
    """Settings of the closing comparison."""

    compare_seeds: int = 5
    """seeds of the closing comparison: networks trained in full under each loss"""
    compare_steps: int = 10_000
    """training steps of each network in the closing comparison"""
    compare_milestones: tuple[float, ...] = ()
    """fractions of the compare steps after which the learning rate is divided by 10"""

    def __post_init__(self) -> None:
        require_whole("compare_seeds", self.compare_seeds, 1)
        require_whole("compare_steps", self.compare_steps, 1)
        for milestone in self.compare_milestones:
            require_in_range("compare_milestones", milestone, 0, 1)

    def __call__(
        self,
        losses: dict[str, Loss],
        problem: Problem,
        base: BaseTraining,
        seed: int,
        *,
        progress: Report,
        executor: Executor | None = None,
    ) -> list[Scores]:
        """Train networks under each loss and return their scores, in the order of `losses`.

        Args:
            losses: by name.
            problem: the task and its networks.
            base: how they are trained.
            seed: of the search; the comparison's own are derived from it.
            progress: receives a stage's name, the steps done and their total.
            executor: trains from several seeds side by side.
        """
        (scores,) = self.several([(losses, base)], problem, seed, progress, executor)
        return scores

    def several(
        self,
        groups: Sequence[tuple[dict[str, Loss], BaseTraining]],
        problem: Problem,
        seed: int,
        progress: Report,
        executor: Executor | None = None,
        stage: str = COMPARING,
    ) -> list[list[Scores]]:
        """Return the scores of several groups of losses, each trained in a way of its own.

        Args:
            groups: losses by name, with how networks are trained.
            problem: the task and its networks.
            seed: of the search.
            progress: receives a stage's name, the steps done and their total.
            executor: trains side by side.
            stage: what progress calls it.
        """
        executor = Here() if executor is None else executor
        parts = [chunks(list(group.values()), [problem], b) for group, b in groups]
        runs = [derive_seed(seed, "comparison", run) for run in range(self.compare_seeds)]
        jobs = [
            _Job(losses, base, run)
            for (_, base), group in zip(groups, parts, strict=True)
            for run in runs
            for losses in group
        ]
        tally = Tally(progress, stage, len(jobs), executor.workers)
        found = executor.map(_Work(self, problem), jobs, tally)
        scores = list[list[Scores]]()
        for (losses, _), part in zip(groups, parts, strict=True):
            by_run = [[score for _ in part for score in next(found)] for _ in runs]
            scores.append(self._scores(list(losses), by_run))
        return scores

    def _scores(
        self, names: Sequence[str], by_run: Sequence[Sequence[tuple[float, float]]]
    ) -> list[Scores]:
        return [
            Scores(name, *map(tuple, zip(*by_seed, strict=True)))
            for name, by_seed in zip(names, zip(*by_run, strict=True), strict=True)
        ]

    def train(
        self,
        losses: Sequence[Loss],
        problem: Problem,
        base: BaseTraining,
        seed: int,
        report: Report,
    ) -> list[tuple[float, float]]:
        """Train a network under each loss; return its costs on validation and on test data.

        Args:
            losses: one or several.
            problem: the task and its networks.
            base: how they are trained.
            seed: of initialization and batches.
            report: receives progress.
        """
        population, task = as_population(losses, problem.task.device), problem.task
        setup = self._scheduled(base.setup(problem, seed), base)
        ensemble = make_ensemble(setup, population, "auto")
        for done in range(0, self.compare_steps, REPORT_EVERY):
            some = min(REPORT_EVERY, self.compare_steps - done)
            ensemble.advance(some)
            report("training", done + some, self.compare_steps)
        valid, test = (ensemble.score(split, task.measure) for split in (task.valid, task.test))
        return list(zip(valid, test, strict=True))

    def _scheduled(self, setup: EnsembleConfig, base: BaseTraining) -> EnsembleConfig:
        """Return how networks are trained, with the comparison's schedule of the learning rate."""
        if not self.compare_milestones:
            return setup
        steps = tuple(round(share * self.compare_steps) for share in self.compare_milestones)
        sgd = base.optimizer()
        return replace(setup, optimizer=Multistep(sgd.learning_rate, sgd, steps))


class _Job(NamedTuple):
    """Networks that train from one seed."""

    losses: tuple[Loss, ...]
    base: BaseTraining
    seed: int


@final
@dataclass(frozen=True)
class _Work:
    """Trains the networks of a comparison, in any process."""

    comparison: Comparison
    problem: Problem

    def __call__(self, job: _Job, report: Report) -> list[tuple[float, float]]:
        return self.comparison.train(job.losses, self.problem, job.base, job.seed, report)
