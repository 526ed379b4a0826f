"""Fitness: the validation metric of a network trained for a while under a candidate loss.

All candidates of a search train from the same initialization on the same batches, so that they
differ by their losses alone. A candidate that diverges is a result: the worst fitness, with its
reason.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Self, final

from lossforge.losses import LossPopulation
from lossforge.randomness import derive_seed
from lossforge.search.meta_training import Progress
from lossforge.search.method import finite_or_none, infinite_if_none
from lossforge.search.problem import BaseTraining, Problem
from lossforge.training import Cohort, Stacking, form_cohort
from lossforge.validation import require_in_range

RUNGS = (0.1, 0.2, 0.4)
"""shares of the fitness steps after which hopeless candidates are stopped"""

REPORT_EVERY = 25
"""steps between reports of progress"""


@final
@dataclass(frozen=True)
class Trial:
    """How a candidate fared.

    Attributes:
        fitness: the metric on validation data, mean over the tasks; infinity where it failed.
        steps: for how many steps it was trained.
        reason: why it was stopped or failed; None for a full run.
        curve: the metric at each rung that was reached, and at the end of a full run.
    """

    fitness: float
    steps: int
    reason: str | None
    curve: tuple[float, ...]

    def state(self) -> list[Any]:
        """Return the trial as plain data."""
        return [finite_or_none(self.fitness), self.steps, self.reason, list(self.curve)]

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Self:
        """Return the trial that `state` was taken of."""
        fitness, steps, reason, curve = state
        return cls(infinite_if_none(fitness), steps, reason, tuple(curve))


@final
@dataclass(frozen=True)
class Race:
    """Stops candidates that no longer have a chance, learning from full runs what a chance is.

    At a rung, a candidate is hopeless if it does worse there than every past run that ended within
    `tolerance` of the best, by more than `margin` of that and `tolerance`. Nothing is stopped
    before a run was completed.

    Attributes:
        tolerance: in units of the metric; by how much the winner may be missed.
        curves: metrics of full runs, at each rung and at the end.
        margin: a share of the metric.
    """

    tolerance: float
    curves: tuple[tuple[float, ...], ...] = ()
    margin: float = 0.25

    def __post_init__(self) -> None:
        require_in_range("racing_tolerance", self.tolerance, 0)

    def is_hopeless(self, rung: int, score: float) -> bool:
        """Tell whether a candidate with `score` at a rung should be stopped."""
        if not self.curves:
            return False
        best = min(curve[-1] for curve in self.curves)
        worst = max(c[rung] for c in self.curves if c[-1] <= best + self.tolerance)
        return score > worst * (1 + self.margin) + self.tolerance


@final
@dataclass(frozen=True)
class Fitness:
    """Settings of fitness runs.

    Attributes:
        steps: of training.
        base: how base networks are trained.
        stacking: how several networks are trained on one machine.
        race: stops hopeless candidates; every run is full where None.
        best_look: whether a full run's fitness is its best look instead of its last.
    """

    steps: int
    base: BaseTraining
    stacking: Stacking = "auto"
    race: Race | None = None
    best_look: bool = False

    def __post_init__(self) -> None:
        require_in_range("fitness_steps", self.steps, 1)

    def __call__(
        self, losses: LossPopulation, problems: Sequence[Problem], seed: int, progress: Progress
    ) -> list[Trial]:
        """Train a network under each loss and return how they fared, in order."""
        heat = _Heat(self, losses, problems, seed)
        looks = self.race is not None or self.best_look
        rungs = sorted({max(1, round(share * self.steps)) for share in RUNGS}) if looks else []
        for rung in [*rungs, self.steps]:
            heat.advance_to(rung, progress)
            heat.judge()
        return heat.trials()


@final
class _Heat:
    """Candidates in training, fewer after each rung."""

    def __init__(
        self, settings: Fitness, losses: LossPopulation, problems: Sequence[Problem], seed: int
    ):
        self._settings, self._splits = settings, [problem.task.valid for problem in problems]
        self._kinds = [problem.task.kind for problem in problems]
        self._cohorts: list[Cohort] = [
            form_cohort(
                settings.base.setup(problem, derive_seed(seed, i)), losses, settings.stacking
            )
            for i, problem in enumerate(problems)
        ]
        self._running = list(range(len(losses)))
        self._curves: list[tuple[float, ...]] = [() for _ in self._running]
        self._trials: dict[int, Trial] = {}
        self._step = 0

    def advance_to(self, step: int, progress: Progress) -> None:
        """Train all that still run up to a step."""
        while self._running and self._step < step:
            some = min(REPORT_EVERY, step - self._step)
            for cohort in self._cohorts:
                cohort.advance(some)
            self._step += some
            progress("training", self._step, self._settings.steps)

    def judge(self) -> None:
        """Record how the candidates stand, and stop those that failed, end or have no chance."""
        if not self._running:
            return
        trials = [
            self._verdict(candidate, score, failure)
            for candidate, score, failure in zip(
                self._running, self._scores(), self._failures(), strict=True
            )
        ]
        staying = [slot for slot, trial in enumerate(trials) if trial is None]
        self._trials |= {
            candidate: trial
            for candidate, trial in zip(self._running, trials, strict=True)
            if trial is not None
        }
        if staying and len(staying) < len(self._running):
            for cohort in self._cohorts:
                cohort.keep(staying)
        self._running = [self._running[slot] for slot in staying]

    def trials(self) -> list[Trial]:
        """Return how all candidates fared, in their first order."""
        return [self._trials[candidate] for candidate in sorted(self._trials)]

    def _verdict(self, candidate: int, score: float, failure: str | None) -> Trial | None:
        """Return a trial that is over, None for one that goes on."""
        if not math.isfinite(score):
            reason = failure or f"diverged: non-finite metric at step {self._step}"
            return Trial(math.inf, self._step, reason, ())
        rung = len(self._curves[candidate])
        self._curves[candidate] += (score,)
        if self._step == self._settings.steps:
            curve = self._curves[candidate]
            return Trial(min(curve) if self._settings.best_look else score, self._step, None, curve)
        if self._settings.race and self._settings.race.is_hopeless(rung, score):
            reason = f"stopped: hopeless at step {self._step}"
            return Trial(score, self._step, reason, self._curves[candidate])
        return None

    def _scores(self) -> list[float]:
        parts = zip(self._cohorts, self._splits, self._kinds, strict=True)
        by_task = [cohort.score(split, kind) for cohort, split, kind in parts]
        return [fmean(scores) for scores in zip(*by_task, strict=True)]

    def _failures(self) -> list[str | None]:
        by_task = [cohort.failures() for cohort in self._cohorts]
        return [next(filter(None, reasons), None) for reasons in zip(*by_task, strict=True)]
