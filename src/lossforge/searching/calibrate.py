"""Calibration: the handcrafted losses that a learned loss must beat, each at its best rate.

A loss that takes larger steps looks better at a rate that is too low for the others. So every loss
is tried over a grid of rates, and the grid grows until the best rate lies inside it. Losses are
judged on validation rows alone, from common initializations on common batches. Short trainings
find the rates of all losses; longer ones, of the best losses at the rates around their best, settle
which is best (successive halving over steps).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import final

from lossforge.files import finite_or_none, infinite_if_none
from lossforge.losses import Loss, default_loss
from lossforge.losses.resolve import resolve_loss
from lossforge.randomness import derive_seed
from lossforge.searching.executors import Executor, Here, Tally
from lossforge.searching.fitness import Fitness, Trial
from lossforge.searching.fitness_work import FitnessJob, ProblemWork
from lossforge.searching.journal import Journal, State
from lossforge.searching.problem import BaseTraining, Problem, kind_of
from lossforge.tasks.kinds import Kind, as_kind
from lossforge.tasks.metrics import Metric, RowMetric
from lossforge.tasks.task import Task
from lossforge.validation import require_whole

FACTOR = 3.0
"""between neighboring learning rates of a grid"""

FIRST_POWERS = (0, 1, 2)
"""of `FACTOR`, by which the user's learning rate is multiplied in every loss's first grid"""

FARTHEST = 8
"""greatest power of `FACTOR` that a grid grows to, up and down"""

CALIBRATING, TUNING = "calibrating", "tuning the rate"
"""names of its stages, for progress"""

SHORT = 6
"""a short training has this fraction of the steps of a long one"""

NARROW_SHORT = 2
"""the same where short trainings are of narrower networks, which cost a fraction"""

SURVIVORS = 4
"""one in so many losses is trained for longer"""


def handcrafted_rivals(kind: Kind | str) -> tuple[Loss, ...]:
    """Return the handcrafted losses that a learned loss is held against, the default loss first.

    Examples:
        >>> print(*handcrafted_rivals("regression")[:3])
        mse mae huber:delta=0.1
    """
    kind = as_kind(kind)
    return tuple(resolve_loss(name, kind) for name in kind.rivals)


WEIGHTED_RIVALS = (
    "cross_entropy:weight=balanced",
    "cross_entropy:weight=root",
    "focal:gamma=1",
    "focal:gamma=5",
    "focal:gamma=2,weight=balanced",
)
"""rivals besides, where the metric is not a mean over rows, so that rare classes count for more"""


def weighs_classes(task: Task) -> bool:
    """Tell whether a task's metric lets rare classes count for more than their rows.

    Examples:
        >>> from lossforge.tasks import load
        >>> [weighs_classes(load("iris").with_metric(name)) for name in ("f1", "error_rate")]
        [True, False]
    """
    return task.kind.predicts_probabilities and not isinstance(task.measure, RowMetric)


def rivals_of(task: Task) -> dict[str, Loss]:
    """Return the handcrafted losses by name that a learned loss is held against on a task.

    Those of its kind, the default loss first; where the task has classes and is measured by what
    is no mean over the rows, weighted losses as well.

    Examples:
        >>> from lossforge.tasks import load
        >>> task = load("breast_cancer")
        >>> len(rivals_of(task.with_metric("f1"))) - len(rivals_of(task))
        5
    """
    kind, names = task.kind, list(task.kind.rivals)
    if weighs_classes(task):
        names += WEIGHTED_RIVALS
    found = [resolve_loss(name, kind).for_task(task) for name in names]
    return {str(loss): loss for loss in found}


@final
@dataclass(frozen=True)
class RatedLoss:
    """A loss at a learning rate.

    Attributes:
        name: of the loss.
        learning_rate: of the networks' optimizer.
        steps: of their training.
        scores: costs by the metric on validation data, one for each initialization; infinity for a
            network that diverged.
    """

    name: str
    learning_rate: float
    steps: int
    scores: tuple[float, ...]

    @property
    def valid(self) -> float:
        """Mean of the scores; infinity where a network diverged."""
        return fmean(self.scores)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the scores; None for a single one, or where a network diverged."""
        if len(self.scores) < 2 or not math.isfinite(self.valid):
            return None
        return stdev(self.scores)

    def shown(self, metric: Metric) -> "RatedLoss":
        """Return the same with the values of a metric in place of its costs."""
        return replace(self, scores=tuple(map(metric.shown, self.scores)))

    def row(self) -> State:
        """Return what ``result.json`` holds of it."""
        return {
            "name": self.name,
            "rate": self.learning_rate,
            "valid": self.valid,
            "deviation": self.deviation,
            "steps": self.steps,
        }


@final
@dataclass(frozen=True)
class Calibrated:
    """The outcome of a calibration.

    Attributes:
        losses: every handcrafted loss at its best learning rate; those that were trained for
            longest first, and the best of them foremost.
        default: the default loss at its best learning rate.
        untuned: the default loss at the user's learning rate.
    """

    losses: tuple[RatedLoss, ...]
    default: RatedLoss
    untuned: RatedLoss

    @property
    def best(self) -> RatedLoss:
        """The best handcrafted loss at its best learning rate."""
        return self.losses[0]


@final
@dataclass(frozen=True)
class Calibration:
    """How the handcrafted losses and their learning rates are calibrated. Not in the papers.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    rivals: bool = True
    """find the best handcrafted loss and learning rate on validation data, and recommend the
    learned loss only if it is better (not in the papers)"""
    rival_steps: int = 0
    """training steps under the best handcrafted losses, at each learning rate; a sixth as
    many under all handcrafted losses; 0 for as many as in a fitness run"""
    rival_seeds: int = 3
    """initializations from which networks are trained under each handcrafted loss at each rate"""
    rival_runs: int = 0
    """networks trained in full under each loss at its best learning rate for the closing
    comparison; 0 for as many as compare_seeds, which is the most"""

    def __post_init__(self) -> None:
        require_whole("rival_steps", self.rival_steps, 0)
        require_whole("rival_seeds", self.rival_seeds, 1)
        require_whole("rival_runs", self.rival_runs, 0)


@final
class Calibrator:
    """Finds the best learning rates of losses.

    What was trained is kept in the journal: a calibration that was interrupted continues, and ends
    as if it had not been.

    Args:
        settings: of the calibration.
        fitness: of the search; racing is turned off.
        problems: to train on; scores are means over them.
        trial_problems: the same with narrower networks, for short trainings; `problems` where None.
        base: how networks are trained; its learning rate is the user's.
        seed: of the search.
        journal: where to report to and resume from.
        executor: trains at several learning rates side by side; no result depends on it.

    Examples:
        >>> from lossforge.searching import NullJournal, make_problems
        >>> from lossforge.tasks import load
        >>> calibrator = Calibrator(
        ...     Calibration(rival_steps=60, rival_seeds=1), Fitness(),
        ...     make_problems(load("iris"), "linear"), BaseTraining(), 0, NullJournal(),
        ... )
        >>> calibrator.calibrate().untuned.learning_rate
        0.01
    """

    def __init__(
        self,
        settings: Calibration,
        fitness: Fitness,
        problems: Sequence[Problem],
        base: BaseTraining,
        seed: int,
        journal: Journal,
        trial_problems: Sequence[Problem] | None = None,
        executor: Executor | None = None,
    ):
        steps = settings.rival_steps or fitness.steps
        self._trial_problems = problems if trial_problems is None else trial_problems
        is_narrow = tuple(self._trial_problems) != tuple(problems)
        shorter = NARROW_SHORT if is_narrow else SHORT
        self._short, self._long = max(1, steps // shorter), steps
        self._fitness = replace(fitness.in_full(steps), best_evaluation=False, measure="metric")
        self._seeds = [derive_seed(seed, "calibration", run) for run in range(settings.rival_seeds)]
        self._problems, self._base, self._journal = problems, base, journal
        self._works: dict[tuple[Problem, ...], ProblemWork] = {}
        self._executor = Here() if executor is None else executor
        self._table, self._begun = _ScoreTable.from_state(journal.restore()), 0

    @property
    def training_steps(self) -> int:
        """Training steps made so far, summed over networks."""
        return self._table.training_steps

    def calibrate(self) -> Calibrated:
        """Return the kind's handcrafted losses, each at its best learning rate."""
        kind, self._begun = kind_of(self._problems), 0
        losses = rivals_of(self._problems[0].task)
        default = str(default_loss(kind))
        first = {name: set(FIRST_POWERS) for name in losses}
        self._search_rates(losses, first, self._short)
        ranked = sorted(losses, key=lambda name: self._best(name, self._short).valid)
        kept = {default, *ranked[: math.ceil(len(ranked) / SURVIVORS)]}
        finalists = {name: loss for name, loss in losses.items() if name in kept}
        around = self._around_the_best(finalists)
        around[default] |= {0}
        self._search_rates(finalists, around, self._long)
        rated = [self._best(name, self._long) for name in finalists]
        rated.sort(key=lambda rival: rival.valid)  # stable: among equals, the default comes first
        others = [self._best(name, self._short) for name in ranked if name not in finalists]
        return Calibrated(
            (*rated, *others), self._best(default, self._long), self._rated(default, 0, self._long)
        )

    def tune(self, name: str, loss: Loss) -> RatedLoss:
        """Return a loss at its best learning rate, found as those of the handcrafted losses are."""
        self._begun = self._table.training_steps
        self._search_rates({name: loss}, {name: set(FIRST_POWERS)}, self._short)
        self._search_rates({name: loss}, self._around_the_best([name]), self._long)
        return self._best(name, self._long)

    def expected_steps(self, losses: int) -> int:
        """Return about how many training steps a calibration of so many losses takes.

        Their number is known only at the end: grids grow as far as they must.
        """
        finalists = 1 if losses == 1 else math.ceil(losses / SURVIVORS) + 1
        rates = len(FIRST_POWERS) + 1
        short, long = losses * rates * self._short, finalists * len(FIRST_POWERS) * self._long
        return len(self._seeds) * (short + long)

    def _around_the_best(self, names: Iterable[str]) -> dict[str, set[int]]:
        """Return the powers of `FACTOR` around those that were best in short trainings."""
        return {name: neighbors(self._best_power(name, self._short)) for name in names}

    def _search_rates(
        self, losses: Mapping[str, Loss], powers: Mapping[str, set[int]], steps: int
    ) -> None:
        """Train at the given powers of `FACTOR`, then at more until each best is inside."""
        # What an interrupted run knows in advance must not change the order of trainings, in which
        # losses share an ensemble: only what is known at this point may decide.
        known: dict[str, set[int]] = {name: set() for name in losses}
        wanted = powers
        while any(wanted.values()):
            # All losses that share a rate train side by side.
            missing = list(self._missing(losses, wanted, steps))
            groups = [list(self._jobs(losses, each, steps)) for each in missing]
            jobs = [job for group in groups for job in group]
            tally = self._tally(len(losses), sum(len(names) for names, *_ in missing), jobs, steps)
            found = self._executor.map(self._work_at(steps), jobs, tally)
            for group, (names, power, run) in zip(groups, missing, strict=True):
                trials = list[Trial]()
                for _ in group:
                    trials += next(found)
                self._record(names, trials, steps, power, run)
            known = {name: known[name] | wanted[name] for name in losses}
            wanted = {
                name: neighbors(self._best_power(name, steps, known[name])) - known[name]
                for name in losses
            }

    def _tally(self, losses: int, trainings: int, jobs: Sequence[FitnessJob], steps: int) -> Tally:
        """Return what adds up the progress of trainings that are made at once.

        Args:
            losses: whose rates are searched.
            trainings: networks that are trained.
            jobs: that they are divided into.
            steps: of each.
        """
        stage = f"{CALIBRATING} {losses} losses" if losses > 1 else TUNING
        begun = self._table.training_steps - self._begun
        expected = max(self.expected_steps(losses), begun + trainings * steps)

        def report(_: str, done: int, total: int) -> None:
            made = begun + round(trainings * steps * done / total)
            self._journal.progress(stage, made, expected)

        return Tally(report, stage, len(jobs), self._executor.workers)

    def _missing(
        self, losses: Mapping[str, Loss], wanted: Mapping[str, set[int]], steps: int
    ) -> Iterator[tuple[list[str], int, int]]:
        """Yield names of losses to train under, with a power of `FACTOR` and a seed's number."""
        for power in sorted(set().union(*wanted.values())):
            for run in range(len(self._seeds)):
                names = [
                    name
                    for name in losses
                    if power in wanted[name] and not self._table.has(name, steps, power, run)
                ]
                if names:
                    yield names, power, run

    def _work_at(self, steps: int) -> ProblemWork:
        """Return the same object each time, whose data an executor sends once."""
        problems = tuple(self._problems_at(steps))
        return self._works.setdefault(problems, ProblemWork(problems))

    def _problems_at(self, steps: int) -> Sequence[Problem]:
        return self._trial_problems if steps == self._short else self._problems

    def _jobs(
        self, losses: Mapping[str, Loss], missing: tuple[list[str], int, int], steps: int
    ) -> Iterator[FitnessJob]:
        names, power, run = missing
        fitness = replace(self._fitness, steps=steps)
        base = replace(self._base, learning_rate=self._rate(power))
        job = FitnessJob(tuple(losses[n] for n in names), fitness, base, self._seeds[run])
        return job.split(self._problems_at(steps))

    def _record(
        self, names: Sequence[str], trials: Sequence[Trial], steps: int, power: int, run: int
    ) -> None:
        for name, trial in zip(names, trials, strict=True):
            self._table.add(name, steps, power, run, trial)
        entry = {
            "learning_rate": self._rate(power),
            "steps": steps,
            "seed": run,
            "valid": {
                name: finite_or_none(trial.fitness)
                for name, trial in zip(names, trials, strict=True)
            },
        }
        self._journal.checkpoint(self._table.state(), entry)

    def _best(self, name: str, steps: int) -> RatedLoss:
        return self._rated(name, self._best_power(name, steps), steps)

    def _best_power(self, name: str, steps: int, among: set[int] | None = None) -> int:
        """Return the best power of `FACTOR`; among equals the nearest to the user's rate.

        Where networks diverged at all of them it is the lowest, so that the grid grows downwards.
        """

        def badness(power: int) -> tuple[float, int, int]:
            valid = fmean(self._table.scores(name, steps, power))
            return valid, abs(power) if math.isfinite(valid) else power, power

        return min(self._table.powers(name, steps) if among is None else among, key=badness)

    def _rated(self, name: str, power: int, steps: int) -> RatedLoss:
        return RatedLoss(name, self._rate(power), steps, self._table.scores(name, steps, power))

    def _rate(self, power: int) -> float:
        return grid_rate(self._base.learning_rate, power)


@final
class _ScoreTable:
    """Scores of losses by steps, power of `FACTOR` and initialization."""

    def __init__(self) -> None:
        self.training_steps = 0
        self._scores: dict[tuple[str, int, int], list[float]] = {}

    @classmethod
    def from_state(cls, state: State | None) -> "_ScoreTable":
        """Return the table that `state` was taken of; an empty one for None."""
        table = cls()
        if state is not None:
            table.training_steps = state["training steps"]
            for name, steps, power, scores in state["scores"]:
                table._scores[name, steps, power] = [infinite_if_none(score) for score in scores]
        return table

    def state(self) -> State:
        """Return the table as plain data."""
        rows = [
            [*key, [finite_or_none(score) for score in scores]]
            for key, scores in self._scores.items()
        ]
        return {"training steps": self.training_steps, "scores": rows}

    def add(self, name: str, steps: int, power: int, run: int, trial: Trial) -> None:
        scores = self._scores.setdefault((name, steps, power), [])
        assert len(scores) == run, "initializations are trained in order"
        scores.append(trial.fitness)
        self.training_steps += trial.steps

    def has(self, name: str, steps: int, power: int, run: int) -> bool:
        return run < len(self._scores.get((name, steps, power), ()))

    def scores(self, name: str, steps: int, power: int) -> tuple[float, ...]:
        return tuple(self._scores[name, steps, power])

    def powers(self, name: str, steps: int) -> set[int]:
        """Return the powers at which a loss was trained for so many steps."""
        return {key[2] for key in self._scores if key[:2] == (name, steps)}


def neighbors(power: int) -> set[int]:
    """Return the powers of `FACTOR` that a grid must have so that `power` is not at its edge.

    Examples:
        >>> sorted(neighbors(2)), sorted(neighbors(FARTHEST))
        ([1, 2, 3], [7, 8])
    """
    return {near for near in (power - 1, power, power + 1) if abs(near) <= FARTHEST}


def grid_rate(learning_rate: float, power: int) -> float:
    """Return a learning rate of the grid around another, rounded so that it prints short.

    Examples:
        >>> grid_rate(0.01, 2)
        0.09
    """
    return float(f"{learning_rate * FACTOR**power:.6g}")
