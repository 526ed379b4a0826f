"""The results of a search as people read them: tables, sentences and plots."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lossforge.errors import ConfigurationError, RunError, unknown_name
from lossforge.experiments.closing import LEARNED, recommendation
from lossforge.experiments.experiment import Report
from lossforge.experiments.measured import costs, direction, is_maximized
from lossforge.experiments.paper import comparison_for
from lossforge.experiments.repeating import DEFAULTS, repeat_command
from lossforge.experiments.search_settings import CALIBRATIONS, COMPARISONS, as_method
from lossforge.experiments.statistics import mean_and_deviation, paired_comparison
from lossforge.experiments.tables import Table, number
from lossforge.experiments.units import scale_note
from lossforge.losses import Loss
from lossforge.report.facts import is_learned_level, on_each_task
from lossforge.runs.folder import LOSS
from lossforge.searching import State

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRICS = ("valid", "test")

NOISE = 0.05
"""p above which a difference may be noise"""


@final
@dataclass(frozen=True)
class TaskResult:
    """How the loss that a search found fares on one of its tasks.

    Attributes:
        result: of the search, as if it had been on this task alone.
        path: of the run's folder; None for a run in memory.
        named: whether texts say which task it is, since the search has others.
    """

    result: State
    path: Path | None
    named: bool = False

    @property
    def name(self) -> str:
        """Name of the task."""
        return str(self.result["task"])

    @property
    def rivals(self) -> list[State]:
        """The handcrafted losses of the closing comparison: name, rate, valid and test of each.

        They are the default loss at the user's learning rate and at its best one, and the best
        handcrafted loss at its best one; empty where they were not asked for.
        """
        return list(self.result.get("rivals", []))

    @property
    def recommended(self) -> State:
        """What won on validation data: name ("learned" for the loss found), rate and valid.

        Raises:
            RunError: the run is of a version that recommended nothing.
        """
        if "recommended" not in self.result:
            raise RunError(f"{self.path} is of a version that recommended nothing; search anew")
        recommended: State = self.result["recommended"]
        return recommended

    def recommendation(self) -> str:
        """Return in a sentence what to train with.

        Raises:
            RunError: the run is of a version that recommended nothing.
        """
        where = "the learned loss" if self.path is None else str(self.path / LOSS)
        told = recommendation(self.recommended, where, is_level=is_learned_level(self.result))
        return f"on {self.name}, {told}" if self.named else told

    def verdict(self) -> str:
        """Return what the paired tests say, in a sentence."""
        told = _verdict(self.result)
        return f"on {self.name}, {told}" if self.named else told

    def tables(self) -> list[Table]:
        """Return the closing comparisons."""
        return [self.comparison_table(), *([self.rivals_table()] if self.rivals else [])]

    def comparison_table(self) -> Table:
        """Return the metrics under the learned loss and under the default loss."""
        rows = [
            (row["loss"], number(row["valid"]), number(row["test"]), number(row["deviation"]))
            for row in self.rows()
        ]
        result = self.result
        title = (
            f"{self._metric()} after {result['compare_steps']} steps of training, "
            f"{len(result['tests'])} seeds{_higher(result)}"
        )
        scale = result.get("original_units", {}).get("target_scale")
        columns = ("loss", "valid", "test", "deviation")
        return Table(title, columns, tuple(rows), notes=scale_note(scale))

    def rivals_table(self) -> Table:
        """Return the metrics of each loss at the user's learning rate and at its best one."""
        result, tuned = self.result, self.result["tuned"]
        learned = {"name": LEARNED} | {k: result[k] for k in ("rate", *METRICS, "tests")}
        others = [tuned] if tuned and tuned["rate"] != learned["rate"] else []
        rows = [
            (
                "learned loss" if row["name"] == LEARNED else row["name"],
                f"{row['rate']:.3g}",
                *(number(row[part]) for part in METRICS),
                str(len(row["tests"])),
            )
            for row in (*self.rivals, learned, *others)
        ]
        return Table(
            f"{self._metric()} at learning rates chosen on validation data{_higher(result)}",
            ("loss", "rate", *METRICS, "seeds"),
            tuple(rows),
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return the learned loss and the default loss, each with its metrics."""
        result, baseline = self.result, self.result["baseline"]
        task = {"task": self.name} if self.named else {}
        return [
            {
                **task,
                "loss": name,
                "valid": row["valid"],
                "test": row["test"],
                "deviation": mean_and_deviation(_numbers(row["tests"]))[1],
                "tests": row["tests"],
            }
            for name, row in (("learned loss", result), (baseline["name"], baseline))
        ]

    def _metric(self) -> str:
        metric = str(self.result["metric"])
        return f"{metric} on {self.name}" if self.named else metric


@final
class SearchReport(Report):
    """The results of a search and of its closing comparison.

    Attributes:
        run: on disk or in memory.
        result: what ``result.json`` holds.
    """

    @property
    def loss(self) -> Loss:
        """The loss that was found."""
        loss = self.run.loss
        if loss is None:
            raise ConfigurationError(f"{self.path} holds no loss.json; search anew")
        return loss

    @property
    def tasks(self) -> list[TaskResult]:
        """How the loss fares on each of the search's tasks, in their order."""
        results = on_each_task(self.result)
        return [TaskResult(each, self.path, named=len(results) > 1) for each in results]

    def on(self, task: str) -> TaskResult:
        """Return how the loss fares on one of the search's tasks.

        Raises:
            UnknownNameError: the search was not on a task of that name.
        """
        found = {each.name: each for each in self.tasks}
        if task not in found:
            raise unknown_name("task of the search", task, found)
        return found[task]

    @property
    def rivals(self) -> list[State]:
        """The handcrafted losses of the closing comparison; see `TaskResult.rivals`.

        Raises:
            ConfigurationError: the search was on several tasks.
        """
        return self._only().rivals

    @property
    def recommended(self) -> State:
        """What won on validation data; see `TaskResult.recommended`.

        Raises:
            ConfigurationError: the search was on several tasks.
            RunError: the run is of a version that recommended nothing.
        """
        return self._only().recommended

    def _only(self) -> TaskResult:
        """Return the result on the only task."""
        first, *others = self.tasks
        if others:
            names = ", ".join(each.name for each in self.tasks)
            raise ConfigurationError(
                f'the search was on {names}; ask for the results on one: report.on("{first.name}")'
            )
        return first

    def recommendation(self) -> str:
        """Return in a sentence for each task what to train with.

        Raises:
            RunError: the run is of a version that recommended nothing.
        """
        return "\n".join(each.recommendation() for each in self.tasks)

    def verdict(self) -> str:
        """Return what the paired tests say, in a sentence for each task."""
        return "\n".join(each.verdict() for each in self.tasks)

    def sentence(self) -> str:
        """Return `verdict`, as sentences of a text."""
        told = (each.verdict() for each in self.tasks)
        return " ".join(f"{each[:1].upper()}{each[1:]}" for each in told)

    def _command(self, config: State) -> str:
        preset, task = config["preset"], config["task"]
        first = task if isinstance(task, str) else task[0]
        defaults = as_method(config["method"], preset, first).settings()
        defaults |= asdict(comparison_for(preset, first, COMPARISONS[preset]))
        defaults |= asdict(CALIBRATIONS[preset])
        shared = {key: config.get(key) for key in ("task", "model", "metric", "seed", "preset")}
        options = shared | config["settings"] | config["comparison"]
        options |= config.get("calibration", {})
        return repeat_command(["search", config["method"]], options, defaults | DEFAULTS)

    def tables(self) -> list[Table]:
        """Return the Pareto front, where there is one, and the closing comparisons."""
        front = [self.front_table()] if self.result["front"] else []
        return [*front, *(table for each in self.tasks for table in each.tables())]

    def comparison_table(self) -> Table:
        """Return the metrics under the learned and the default loss; see `TaskResult`.

        Raises:
            ConfigurationError: the search was on several tasks.
        """
        return self._only().comparison_table()

    def rivals_table(self) -> Table:
        """Return the metrics of all losses at their best learning rates; see `TaskResult`.

        Raises:
            ConfigurationError: the search was on several tasks.
        """
        return self._only().rivals_table()

    def front_table(self) -> Table:
        """Return the best loss of each size."""
        rows = [
            (member["loss"], str(member["size"]), f"{member['fitness']:.4g}")
            for member in self.result["front"]
        ]
        return Table(
            f"best loss of each size, on validation data{_higher(self.result)}",
            ("loss", "size", self.result["metric"]),
            tuple(rows),
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return the learned loss and the default loss on each task, each with its metrics."""
        return [row for each in self.tasks for row in each.rows()]

    def plot(self) -> "Figure":
        """Return the test metric of each seed, and the Pareto front where there is one."""
        from lossforge.experiments.plots import draw_front, draw_runs, figure_with

        front, tasks = self.result["front"], self.tasks
        figure, panels = figure_with(len(tasks) + bool(front))
        for axes, each in zip(panels, tasks, strict=False):
            rows = each.rows()
            names, tests = [row["loss"] for row in rows], [row["tests"] for row in rows]
            draw_runs(axes, names, tests, self.result["metric"])
            if each.named:
                axes.set_title(each.name, fontsize="medium")
        if front:
            draw_front(panels[-1], front, self.result["metric"])
        return figure

    def __repr__(self) -> str:
        result, baseline = self.result, self.result["baseline"]
        return (
            f"SearchReport({result['method']} on {result['task']}: test {result['metric']} "
            f"{number(result['test'])} under {result['loss']}, "
            f"{number(baseline['test'])} under {baseline['name']})"
        )

    def _repr_html_(self) -> str:
        from html import escape

        from lossforge.report import formula_html

        shown = formula_html(self.run.loss) if self.run.loss else escape(self.result["loss"])
        return f"{shown}{super()._repr_html_()}<p>{escape(self.verdict())}</p>"


def _higher(result: State) -> str:
    """Say in a title which values are better, where it is not the lower ones."""
    return f" ({direction(result)})" if is_maximized(result) else ""


def _verdict(result: State) -> str:
    name = result["baseline"]["name"]
    learned, default = costs(result, result["tests"]), costs(result, result["baseline"]["tests"])
    failed = [
        f"{runs.count(math.inf)} of {len(runs)} runs under {who}"
        for who, runs in (("the learned loss", learned), (name, default))
        if math.inf in runs
    ]
    paired = paired_comparison(learned, default)
    if paired is None:
        return "one seed is no comparison; raise compare_seeds."
    tested = f"Wilcoxon's p = {paired.p_wilcoxon:.2g}" if paired.p_wilcoxon is not None else ""
    if paired.p_t is not None:
        tested += f", paired t-test p = {paired.p_t:.2g}"
    told = "; ".join(part for part in (tested, paired.reason) if part)
    if failed:
        return f"training diverged in {' and '.join(failed)} ({told})."
    if paired.mean == 0:
        return f"the learned loss and {name} are equal on test data ({told})."
    better = "better" if paired.mean < 0 else "worse"
    by = f"{abs(paired.mean):.4g} ({told})"
    if paired.p_wilcoxon is None or paired.p_wilcoxon > NOISE:
        return f"the learned loss is {better} than {name} by {by}: that may be chance."
    return f"the learned loss is {better} than {name} on test data by {by}."


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.inf if value is None else value for value in values]
