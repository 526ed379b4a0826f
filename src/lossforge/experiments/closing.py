"""The comparison that closes a search: is the learned loss better than what a person would write?

Test data are read here for the first time. What is recommended is decided on validation data.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import final

from lossforge.experiments.comparison import COMPARING, Comparison
from lossforge.losses import Loss, default_loss
from lossforge.methods import BaseTraining, Problem, State
from lossforge.searching import Calibrated, RatedLoss, is_level, rivals_of
from lossforge.searching.executors import Executor, Report
from lossforge.tasks.metrics import Metric

AT_BEST_RATES = "at best rates: comparing"
"""name of the second stage, for progress"""

LEARNED = "learned"
"""what the learned loss is called among the others"""


@final
@dataclass(frozen=True)
class Contender:
    """A loss at a learning rate, in the closing comparison.

    Attributes:
        name: of the loss.
        learning_rate: of the networks' optimizer.
        valid: the cost by the metric on validation data, one number a seed.
        test: the cost on test data, one number a seed; infinity for a run that diverged.
    """

    name: str
    learning_rate: float
    valid: tuple[float, ...]
    test: tuple[float, ...]

    def shown(self, metric: Metric) -> "Contender":
        """Return the same with the values of a metric in place of its costs."""
        valid, test = (tuple(map(metric.shown, each)) for each in (self.valid, self.test))
        return replace(self, valid=valid, test=test)

    def row(self) -> State:
        """Return what ``result.json`` holds of it."""
        return {
            "name": self.name,
            "rate": self.learning_rate,
            "valid": fmean(self.valid),
            "test": fmean(self.test),
            "tests": self.test,
        }

    def summary(self) -> State:
        """Return what ``result.json`` holds of the one that is recommended."""
        row = self.row()
        return {key: row[key] for key in ("name", "rate", "valid")}


@final
@dataclass(frozen=True)
class Contenders:
    """All who are in a closing comparison.

    Attributes:
        learned: the learned loss at the user's learning rate.
        default: the default loss at the user's learning rate.
        tuned: the learned loss at its best learning rate; None without a calibration.
        rivals: handcrafted losses at learning rates, the simplest first: the default loss at the
            user's and at its best one, the best handcrafted loss at its best one; empty without a
            calibration.
        rows: how many validation rows there are, where the cost is a share of them.
    """

    learned: Contender
    default: Contender
    tuned: Contender | None
    rivals: tuple[Contender, ...]
    rows: int | None = None

    def shown(self, metric: Metric) -> "Contenders":
        """Return the same with the values of a metric in place of its costs."""
        tuned = self.tuned.shown(metric) if self.tuned else None
        rivals = tuple(each.shown(metric) for each in self.rivals)
        learned, default = self.learned.shown(metric), self.default.shown(metric)
        return replace(self, learned=learned, default=default, tuned=tuned, rivals=rivals)

    def recommended(self) -> Contender:
        """Return who won on validation data."""
        handcrafted = self.rivals or (self.default,)
        learned = (self.learned, self.tuned) if self.tuned else (self.learned,)
        return recommend([*handcrafted, *learned], self.rows)


@final
@dataclass(frozen=True)
class Closing:
    """The closing comparison: networks trained in full under each loss at each learning rate.

    All start from the same initializations and see the same batches.

    Attributes:
        comparison: its settings.
        problem: the task and its networks.
        base: how networks are trained; its learning rate is the user's.
        seed: of the search.
        progress: receives a stage's name, the steps done and their total.
        executor: trains side by side; no result depends on it.
    """

    comparison: Comparison
    problem: Problem
    base: BaseTraining
    seed: int
    progress: Report
    executor: Executor

    def __call__(
        self, learned: Loss, calibrated: Calibrated | None, tuned: RatedLoss | None, runs: int
    ) -> Contenders:
        """Train under all losses and return how they fare.

        Args:
            learned: the loss that the search found.
            calibrated: the handcrafted losses at their best learning rates; None for only the
                default loss at the user's.
            tuned: the learned loss at its best learning rate; None for only the user's.
            runs: seeds of the trainings at best learning rates; 0 for as many as the comparison
                has, which is the most.
        """
        kind, rate = self.problem.task.kind, self.base.learning_rate
        losses = rivals_of(self.problem.task) | {LEARNED: learned}
        default = (str(default_loss(kind)), rate)
        found = self._train([(LEARNED, rate), default], losses, self.comparison, COMPARING)
        rated = [calibrated.default, calibrated.best] if calibrated else []
        rivals = [(rival.name, rival.learning_rate) for rival in rated]
        best = [(LEARNED, tuned.learning_rate)] if tuned else []
        more = [entrant for entrant in dict.fromkeys([*rivals, *best]) if entrant not in found]
        most = self.comparison.compare_seeds
        fewer = replace(self.comparison, compare_seeds=min(runs or most, most))
        found |= self._train(more, losses, fewer, AT_BEST_RATES)
        handcrafted = dict.fromkeys([default, *rivals]) if rivals else {}
        return Contenders(
            found[LEARNED, rate],
            found[default],
            found[best[0]] if best else None,
            tuple(found[entrant] for entrant in handcrafted),
            len(self.problem.task.valid) if self.problem.task.measure.is_rate else None,
        )

    def _train(
        self,
        entrants: Sequence[tuple[str, float]],
        losses: Mapping[str, Loss],
        comparison: Comparison,
        stage: str,
    ) -> dict[tuple[str, float], Contender]:
        """Train under losses at learning rates, those of one rate in one ensemble."""
        rates = list(dict.fromkeys(rate for _, rate in entrants))
        groups = [
            (
                {name: losses[name] for name, its in entrants if its == rate},
                replace(self.base, learning_rate=rate),
            )
            for rate in rates
        ]
        found = comparison.several(
            groups, self.problem, self.seed, self.progress, self.executor, stage
        )
        return {
            (each.name, rate): Contender(each.name, rate, each.valid, each.test)
            for rate, scores in zip(rates, found, strict=True)
            for each in scores
        }


def recommend(contenders: Sequence[Contender], rows: int | None = None) -> Contender:
    """Return the first contender that is within a standard error of the best on validation data.

    The standard error is that of the seeds that all have, and of the rows, as
    `lossforge.searching.is_level` tells. A contender under which a network diverged is the worst.

    Args:
        contenders: the simplest first.
        rows: how many the validation data have, where the metric is an error rate.

    Examples:
        >>> usual = Contender("cross_entropy", 0.01, (0.10, 0.12, 0.11), ())
        >>> lucky = Contender("learned", 0.01, (0.11, 0.10, 0.11), ())
        >>> recommend([usual, lucky]).name
        'cross_entropy'
        >>> recommend([usual, Contender("learned", 0.01, (0.05, 0.06, 0.05), ())]).name
        'learned'
    """
    shared = min(len(contender.valid) for contender in contenders)

    def score(contender: Contender) -> float:
        return fmean(contender.valid[:shared])

    best = min(contenders, key=score)
    if not math.isfinite(score(best)):
        return contenders[0]
    return next(
        each for each in contenders if is_level(each.valid[:shared], best.valid[:shared], rows)
    )


def recommendation(recommended: State, loss_file: str, *, is_level: bool = False) -> str:
    """Return in a sentence what to train with.

    Args:
        recommended: as ``result.json`` has it.
        loss_file: where the learned loss is.
        is_level: whether the learned loss does as well, or better by less than validation rows
            tell.

    Examples:
        >>> recommendation({"name": "focal:gamma=2", "rate": 0.3}, "runs/a/loss.json")
        'use focal:gamma=2 at learning rate 0.3; the search found nothing better'
        >>> recommendation({"name": "focal", "rate": 0.3}, "runs/a/loss.json", is_level=True)
        'use focal at learning rate 0.3, the simpler of two; runs/a/loss.json is level with it'
        >>> recommendation({"name": "learned", "rate": 0.03}, "runs/a/loss.json")
        'use runs/a/loss.json at learning rate 0.03'
    """
    rate = f"at learning rate {recommended['rate']:g}"
    if recommended["name"] == LEARNED:
        return f"use {loss_file} {rate}"
    use = f"use {recommended['name']} {rate}"
    if is_level:
        return f"{use}, the simpler of two; {loss_file} is level with it"
    return f"{use}; the search found nothing better"
