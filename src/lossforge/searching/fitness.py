"""Fitness: the validation metric of a network trained for a while under a candidate loss.

All candidates of a search train from the same initialization on the same batches, so that they
differ by their losses alone. A candidate that diverges is a result: the worst fitness, with its
reason.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import fmean
from typing import Annotated, Any, Literal, Self, final

from lossforge.files import finite_or_none, infinite_if_none
from lossforge.losses import LossPopulation
from lossforge.randomness import derive_seed
from lossforge.searching.journal import Progress
from lossforge.searching.options import OptionName
from lossforge.searching.problem import BaseTraining, Problem
from lossforge.training import Ensemble, EnsembleState, Stacking, make_ensemble
from lossforge.validation import require_in_range

RUNGS = (0.1, 0.2, 0.4)
"""shares of the fitness steps after which hopeless candidates are stopped"""

MARGIN = 0.25
"""share of the metric by which a candidate may be worse at a rung than those that ended well"""

HALVING_RUNGS = (0.125, 0.25, 0.5)
"""shares of the fitness steps after which halving stops the worse candidates"""

LEAST_KEPT = 4
"""candidates that halving leaves at least"""

Measure = Literal["metric", "margin"]

REPORT_EVERY = 25
"""steps between reports of progress"""


@final
@dataclass(frozen=True)
class Trial:
    """The outcome of a fitness run.

    Attributes:
        fitness: what candidates are ranked by on validation data, mean over the tasks: the metric
            or another measure; infinity where it failed.
        steps: training steps made, summed over the tasks.
        reason: why it was stopped or failed; None for a complete run.
        curve: what candidates are ranked by, at each rung that was reached and at the end.
        score: the metric itself, mean over the tasks; None where candidates are ranked by it.
    """

    fitness: float
    steps: int
    reason: str | None
    curve: tuple[float, ...]
    score: float | None = None

    @property
    def metric(self) -> float:
        """The metric on validation data, mean over the tasks."""
        return self.fitness if self.score is None else self.score

    @property
    def outcome(self) -> str:
        """One of "in full", "stopped" and "diverged"."""
        return "in full" if self.reason is None else self.reason.partition(":")[0]

    def averaged(self, others: "Sequence[Trial]") -> "Trial":
        """Return the mean of this complete run and others; one that failed makes it a failure."""
        every = [self, *others]
        return Trial(
            fmean(trial.fitness for trial in every),
            sum(trial.steps for trial in every),
            next((trial.reason for trial in others if trial.reason is not None), None),
            self.curve,
            None if self.score is None else fmean(trial.metric for trial in every),
        )

    def state(self) -> list[Any]:
        """Return the trial as plain data."""
        state = [finite_or_none(self.fitness), self.steps, self.reason, list(self.curve)]
        return state if self.score is None else [*state, self.score]

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Self:
        """Return the trial that `state` was taken of."""
        fitness, steps, reason, curve, *score = state
        return cls(infinite_if_none(fitness), steps, reason, tuple(curve), *score)


@final
@dataclass(frozen=True)
class Race:
    """Stops candidates that no longer have a chance, judged by complete runs.

    At a rung, a candidate is hopeless if it does worse there than every past run that ended within
    `tolerance` of the best, by more than `MARGIN` of that and `tolerance`. Nothing is stopped
    before a run was completed.

    Attributes:
        tolerance: how much worse than the best a loss may be that racing finds, in units of the
            metric.
        curves: metrics of complete runs, at each rung and at the end.
    """

    tolerance: float
    curves: tuple[tuple[float, ...], ...] = ()

    def is_hopeless(self, rung: int, score: float) -> bool:
        """Return whether a candidate with `score` at a rung should be stopped."""
        if not self.curves:
            return False
        best = min(curve[-1] for curve in self.curves)
        worst = max(c[rung] for c in self.curves if c[-1] <= best + self.tolerance)
        # The costs of a metric of which nothing is known may be negative.
        margin = MARGIN if worst >= 0 else -MARGIN
        return score > worst * (1 + margin) + self.tolerance


@final
@dataclass(frozen=True)
class Fitness:
    """How the fitness of a loss is measured: by a short training run.

    Racing and `best_evaluation` are not in the papers.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    steps: Annotated[int, OptionName("fitness_steps")] = 500
    """training steps after which a candidate's fitness is measured"""
    racing: bool = True
    """stop fitness runs early that have no chance of winning (not in the papers)"""
    racing_tolerance: float = 0.01
    """how much worse, in units of the metric, the loss may be that a search with racing finds"""
    best_evaluation: Annotated[bool, OptionName("best_look", alias="best_evaluation")] = False
    """take a candidate's best evaluation on validation data as its fitness, instead of the last;
    for losses that will be used with early stopping (not in the papers)"""
    measure: Annotated[Measure, OptionName("fitness_measure")] = "metric"
    """what candidates are ranked by: the metric, as in the papers, or margin for its smooth form,
    in which margins stand for decisions, so that it tells losses apart that make the same mistakes;
    a metric that is smooth as it is, such as squared error, stays as it is"""
    halving: float = 0.0
    """share of a generation's candidates that go on at each rung, by rank, instead of racing; 0 for
    racing (not in the papers)"""
    fresh: Annotated[bool, OptionName("fresh_initializations")] = False
    """train the candidates of each round from another initialization on other batches, so that no
    loss is handed down that works from a lucky one alone (not in the papers)"""
    repeats: Annotated[int, OptionName("fitness_repeats")] = 0
    """further initializations from which a candidate is trained that was trained in full; its
    fitness is the mean, so that one lucky start is not enough (not in the papers)"""
    stacking: Stacking = "auto"
    """train all candidates as one stacked network, one network after the other, or choose the
    strategy that was measured to be faster"""

    def __post_init__(self) -> None:
        require_in_range("fitness_steps", self.steps, 1)
        require_in_range("racing_tolerance", self.racing_tolerance, 0)
        require_in_range("halving", self.halving, 0, 1)
        require_in_range("fitness_repeats", self.repeats, 0)

    def rungs(self) -> list[int]:
        """Return the steps at which candidates are measured, the last of them included."""
        shares = HALVING_RUNGS if self.halving else RUNGS
        has_rungs = self.racing or self.best_evaluation or self.halving
        rungs = {max(1, round(share * self.steps)) for share in shares} if has_rungs else set()
        return sorted(rungs | {self.steps})

    def in_full(self, steps: int) -> "Fitness":
        """Return the same measure of trainings of so many steps, all of which are completed."""
        return replace(self, steps=steps, racing=False, halving=0.0)


@final
@dataclass(frozen=True)
class Measured:
    """How networks under some candidates fare at a rung, one of each for every candidate.

    Attributes:
        scores: what the candidates are ranked by, mean over the tasks; not finite where it failed.
        metrics: the metric, mean over the tasks.
        failures: why a network diverged; None where it did not.
    """

    scores: tuple[float, ...]
    metrics: tuple[float, ...]
    failures: tuple[str | None, ...]

    @classmethod
    def joined(cls, parts: Sequence["Measured"]) -> "Measured":
        """Return what was measured of several groups of candidates, in their order."""
        return cls(
            tuple(chain.from_iterable(part.scores for part in parts)),
            tuple(chain.from_iterable(part.metrics for part in parts)),
            tuple(chain.from_iterable(part.failures for part in parts)),
        )


@final
class FitnessNetworks:
    """The networks of candidates in training, an ensemble for each task."""

    def __init__(
        self,
        settings: Fitness,
        losses: LossPopulation,
        problems: Sequence[Problem],
        base: BaseTraining,
        seed: int,
    ):
        self._settings, self._splits = settings, [problem.task.valid for problem in problems]
        self._measures = [problem.task.measure for problem in problems]
        self._ensembles: list[Ensemble] = [
            make_ensemble(base.setup(problem, derive_seed(seed, i)), losses, settings.stacking)
            for i, problem in enumerate(problems)
        ]
        self._step = 0

    def stretches(self, step: int, progress: Progress) -> Iterator[tuple[Ensemble, int]]:
        """Yield each ensemble with how many steps it is to make next, until all are at a step.

        Args:
            step: to come to.
            progress: receives the steps made.
        """
        while self._step < step:
            some = min(REPORT_EVERY, step - self._step)
            for ensemble in self._ensembles:
                yield ensemble, some
            self._step += some
            progress("training", self._step, self._settings.steps)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the candidates at some places alone."""
        for ensemble in self._ensembles:
            if len(places) < len(ensemble):
                ensemble.keep(places)

    def state(self) -> tuple[EnsembleState, ...]:
        """Return where training stands, for each task."""
        return tuple(ensemble.state() for ensemble in self._ensembles)

    def restore(self, states: Sequence[EnsembleState], step: int) -> None:
        """Go on from where `state` was taken, after so many steps."""
        for ensemble, state in zip(self._ensembles, states, strict=True):
            ensemble.restore(state)
        self._step = step

    def measured(self) -> Measured:
        """Return how the networks fare now."""
        metrics = self._metrics()
        return Measured(tuple(self._scores(metrics)), tuple(metrics), tuple(self._failures()))

    def _metrics(self) -> list[float]:
        """Return the metric of each candidate, mean over the tasks."""
        parts = zip(self._ensembles, self._splits, self._measures, strict=True)
        by_task = [ensemble.score(split, measure) for ensemble, split, measure in parts]
        return [fmean(scores) for scores in zip(*by_task, strict=True)]

    def _scores(self, metrics: list[float]) -> list[float]:
        """Return what the candidates are ranked by."""
        if self._settings.measure == "metric":
            return metrics
        by_task = [
            measure.smooth_costs(ensemble.predict(split), split.targets).tolist()
            for ensemble, split, measure in zip(
                self._ensembles, self._splits, self._measures, strict=True
            )
        ]
        smooth = [fmean(scores) for scores in zip(*by_task, strict=True)]
        return [
            score if math.isfinite(metric) and math.isfinite(score) else math.inf
            for score, metric in zip(smooth, metrics, strict=True)
        ]

    def _failures(self) -> list[str | None]:
        by_task = [ensemble.failures() for ensemble in self._ensembles]
        return [next(filter(None, reasons), None) for reasons in zip(*by_task, strict=True)]


@final
class Verdicts:
    """Decides at each rung which candidates go on.

    Args:
        settings: of the fitness runs.
        count: how many candidates there are.
        tasks: how many tasks they train on, whose steps are added up.
        curves: of complete runs, by which racing judges.
    """

    def __init__(
        self, settings: Fitness, count: int, tasks: int, curves: tuple[tuple[float, ...], ...]
    ):
        self._settings, self._tasks = settings, tasks
        races = settings.racing and not settings.halving
        self._race = Race(settings.racing_tolerance, curves) if races else None
        self._running = list(range(count))
        self._curves: list[tuple[float, ...]] = [() for _ in self._running]
        self._trials: dict[int, Trial] = {}

    @property
    def running(self) -> tuple[int, ...]:
        """The candidates that still run."""
        return tuple(self._running)

    def judge(self, step: int, measured: Measured) -> list[int]:
        """Stop the candidates that failed, ended or have no chance; return places that stay.

        Args:
            step: that was reached.
            measured: how the candidates that still run fare, in order.
        """
        worst = self._worst(step, measured.scores)
        rows = zip(self._running, measured.scores, measured.metrics, measured.failures, strict=True)
        trials = [
            self._verdict(step, *row, is_worst=place in worst) for place, row in enumerate(rows)
        ]
        self._trials |= {
            candidate: trial
            for candidate, trial in zip(self._running, trials, strict=True)
            if trial is not None
        }
        staying = [place for place, trial in enumerate(trials) if trial is None]
        self._running = [self._running[place] for place in staying]
        return staying

    def trials(self) -> list[Trial]:
        """Return the trials of all candidates, in their first order."""
        return [self._trials[candidate] for candidate in sorted(self._trials)]

    def _verdict(
        self,
        step: int,
        candidate: int,
        score: float,
        metric: float,
        failure: str | None,
        *,
        is_worst: bool,
    ) -> Trial | None:
        """Return a trial that is over, None for one that goes on."""
        steps = step * self._tasks
        if not math.isfinite(score):
            reason = failure or f"diverged: non-finite metric at step {step}"
            return Trial(math.inf, steps, reason, ())
        rung = len(self._curves[candidate])
        self._curves[candidate] += (score,)
        curve = self._curves[candidate]
        other = None if score == metric else metric
        if step == self._settings.steps:
            fitness = min(curve) if self._settings.best_evaluation else score
            return Trial(fitness, steps, None, curve, other)
        if self._race and self._race.is_hopeless(rung, score):
            return Trial(score, steps, f"stopped: hopeless at step {step}", curve, other)
        if is_worst:
            return Trial(score, steps, f"stopped: not the best at step {step}", curve, other)
        return None

    def _worst(self, step: int, scores: Sequence[float]) -> set[int]:
        """Return the places of the candidates that halving stops."""
        if not self._settings.halving or step == self._settings.steps:
            return set()
        kept = max(LEAST_KEPT, math.ceil(self._settings.halving * len(scores)))
        return set(sorted(range(len(scores)), key=scores.__getitem__)[kept:])
