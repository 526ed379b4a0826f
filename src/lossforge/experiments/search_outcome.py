"""What a search ends with on each of its tasks, and what ``result.json`` holds of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import final

from lossforge.experiments.arguments import GivenTask
from lossforge.experiments.closing import Contenders
from lossforge.experiments.measured import metric_facts
from lossforge.experiments.statistics import mean_and_deviation
from lossforge.experiments.units import original_units
from lossforge.searching import Calibrated, SearchResult, State
from lossforge.tasks.metrics import Metric


@final
@dataclass(frozen=True)
class TaskOutcome:
    """How the learned loss and handcrafted ones fare on one task.

    Attributes:
        task: that networks were trained on.
        contenders: of the closing comparison.
        calibrated: the handcrafted losses at their best learning rates; None where they were not
            tried.
        calibration_steps: training steps that this took, summed over networks.
    """

    task: GivenTask
    contenders: Contenders
    calibrated: Calibrated | None
    calibration_steps: int

    @property
    def measure(self) -> Metric:
        """What performance is measured by."""
        return self.task.task.measure

    def scores(self) -> State:
        """Return the learned loss's metrics."""
        learned = self.contenders.shown(self.measure).learned
        valid, test = (mean_and_deviation(each)[0] for each in (learned.valid, learned.test))
        return {
            "outputs": self.task.task.outputs,
            **metric_facts(self.measure),
            "valid": valid,
            "test": test,
            **original_units(self.task.task, valid, test),
        }

    def tests(self) -> State:
        """Return the default loss's metrics, and those of the learned loss seed by seed."""
        contenders = self.contenders.shown(self.measure)
        default = contenders.default
        return {
            "baseline": {
                "name": default.name,
                "valid": mean_and_deviation(default.valid)[0],
                "test": mean_and_deviation(default.test)[0],
                "tests": default.test,
            },
            "tests": contenders.learned.test,
        }

    def rivals(self) -> State:
        """Return all contenders at their best learning rates, and which is recommended."""
        contenders, calibrated = self.contenders.shown(self.measure), self.calibrated
        return {
            "rivals": [rival.row() for rival in contenders.rivals],
            "tuned": contenders.tuned.row() if contenders.tuned else None,
            # Decided by costs, before they become values of the metric.
            "recommended": self.contenders.recommended().shown(self.measure).summary(),
            "calibration": {
                "training steps": self.calibration_steps,
                "losses": [each.shown(self.measure).row() for each in calibrated.losses]
                if calibrated
                else [],
            },
        }

    def row(self) -> State:
        """Return all of it under the name of the task: a part of the result of several tasks."""
        return {"task": self.task.name, **self.scores(), **self.tests(), **self.rivals()}


def closing_result(outcomes: Sequence[TaskOutcome], found: SearchResult, rate: float) -> State:
    """Return what ``result.json`` holds of a search's loss and of how it fares.

    Of several tasks, the metrics are means over them, and ``tasks`` has a row for each.

    Args:
        outcomes: one for each task.
        found: by the search.
        rate: learning rate of the networks' optimizer.
    """
    search = {
        "rate": rate,
        "fitness": found.valid,
        "evaluations": found.evaluations,
        "counts": found.counts,
        "front": [
            {"size": member.size, "fitness": member.valid, "loss": str(member.loss)}
            for member in found.front
        ],
    }
    first, *others = outcomes
    if not others:
        loss = {"loss": str(found.loss)}
        return {**first.scores(), **loss, **first.tests(), **search, **first.rivals()}
    rows = [outcome.row() for outcome in outcomes]
    baselines = [row["baseline"] for row in rows]
    return {
        **metric_facts(first.measure),
        **_means(rows),
        "loss": str(found.loss),
        "baseline": {
            "name": baselines[0]["name"],
            **_means(baselines),
            "tests": _by_seed(baselines),
        },
        "tests": _by_seed(rows),
        **search,
        "tasks": rows,
    }


def _means(rows: Sequence[State]) -> State:
    """Return the metrics, means over the tasks."""
    return {part: fmean(row[part] for row in rows) for part in ("valid", "test")}


def _by_seed(rows: Sequence[State]) -> list[float]:
    """Return the test metric of each seed, mean over the tasks."""
    return [fmean(values) for values in zip(*(row["tests"] for row in rows), strict=True)]
