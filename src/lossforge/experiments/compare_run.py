"""Losses by tasks by networks by seeds, as one grid that can be resumed."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final, get_args

from lossforge import __version__
from lossforge.analysis.drawing import save_figure
from lossforge.errors import ConfigurationError, DivergedError, unknown_name
from lossforge.experiments.arguments import (
    GivenLoss,
    GivenTask,
    LossLike,
    Preset,
    Workers,
    as_execution,
    as_loss,
    as_tasks,
    begun_from_python,
    check_is_loss,
    from_plain,
    given_objects,
    load_unchanged,
    losses_config,
    model_name,
    objects_config,
    require_fields,
    saved_losses,
)
from lossforge.experiments.compare_report import (
    ComparisonReport,
    comparison_tables,
    ranks_figure,
)
from lossforge.experiments.curves import plot_curves
from lossforge.experiments.experiment import (
    Destination,
    Experiment,
    Out,
    announce,
    perform,
)
from lossforge.experiments.grid import Cell, Entry, Grid, Line, Tune, best_rate
from lossforge.experiments.measured import metric_facts
from lossforge.experiments.summary import compare_lines, overall
from lossforge.experiments.train_run import describe_warm_up
from lossforge.experiments.train_settings import as_adalfl, as_recipe, check_adapt_on
from lossforge.experiments.watching import Progress as Watched
from lossforge.extras import has_extra
from lossforge.files import plain, write_atomically
from lossforge.losses import Loss
from lossforge.methods import AdaLFL, State
from lossforge.methods.training_config import Adapting, AdaptOn, TrainingConfig
from lossforge.models import Family, Model
from lossforge.progress import Plan, ProgressReporter, Shown
from lossforge.report.facts import cost_of
from lossforge.runs import Run, RunFolder
from lossforge.searching.executors import Executor, Tally, check_threads
from lossforge.searching.executors import Report as Progress
from lossforge.tasks import Kind, TaskLike
from lossforge.tasks.metrics import Metric, MetricLike
from lossforge.training.full import Outcome, Recipe

if TYPE_CHECKING:
    pass

TRAINING, AT_BEST_RATES = "training", "at best rates: training"
"""names of the stages, for progress"""

FIELDS = {"grid", "device", "data"}
"""what a comparison's configuration must have"""

Losses = Sequence[LossLike] | Mapping[str, LossLike]


def compare(
    losses: Losses,
    task: TaskLike | Sequence[TaskLike],
    model: Model | Sequence[Model] = "mlp",
    *,
    metric: MetricLike | None = None,
    seeds: int = 5,
    seed: int = 0,
    tune: Tune = "none",
    factors: Sequence[float] = (0.1, 0.3, 1.0, 3.0, 10.0),
    tuning_seeds: int = 2,
    preset: Preset = "quick",
    recipe: Recipe | None = None,
    adalfl: AdaLFL | None = None,
    adapt_on: AdaptOn = "valid",
    task_loss: str = "",
    out: Out = None,
    overwrite: bool = False,
    resume: bool = False,
    data_dir: str | Path | None = None,
    device: str = "auto",
    threads: int = 1,
    workers: Workers = 1,
    progress: Watched = True,
    **settings: Any,
) -> ComparisonReport:
    """Train networks under several losses from the same seeds; test each once; compare in pairs.

    Does exactly what ``lossforge compare`` does.

    Args:
        losses: names with options, paths, losses, or "adalfl"; or a mapping from what tables call
            them. The first is what the others are held against, unless rates are tuned.
        task: one or more tasks, by name or as objects.
        model: one or more networks: names with options, or functions that return a fresh network.
        metric: what performance is measured by: a name, such as "f1" or "auroc", a function with
            its direction (`lossforge.OwnMetric`), or a metric of ``torchmetrics``; by default what
            the tasks are measured by.
        seeds: networks trained under each loss.
        seed: the first of the seeds.
        tune: add entries whose learning rate is tuned on validation data: "none", "handcrafted"
            (the rivals) or "all". The best tuned handcrafted loss is then what all entries are held
            against.
        factors: multiples of the learning rate that tuning tries.
        tuning_seeds: networks trained for each of them.
        preset: minutes on two cores, or the published steps.
        recipe: how networks are trained; by default the preset's, on the first task.
        adalfl: settings of the adaptive loss; by default the preset's.
        adapt_on: rows that the adaptive loss learns from: "valid" or "train".
        task_loss: the loss that the adaptive loss is to lower on those rows, by name, or "metric"
            for the smooth form of the metric; by default the default loss, and
            calibrated cross-entropy for "adaptive:FORM" in classification.
        out: the run's folder; by default nothing is written.
        overwrite: discard the run that `out` holds.
        resume: continue the run that `out` holds.
        data_dir: where data sets that come from files are; by default LOSSFORGE_DATA.
        device: cpu, cuda, or auto: a GPU if there is one.
        threads: of PyTorch in each training; another number changes the last bits of results.
        workers: how many processes train side by side, "auto" for one per core where there is
            enough work, or an `Execution`; no result depends on it.
        progress: show progress on standard error.
        **settings: fields of `Recipe` that differ from the preset's, such as ``steps=500``.

    Returns:
        The report, with a table for each task and network.

    Raises:
        LossforgeError: an argument is wrong.

    Examples:
        >>> report = compare(["cross_entropy", "focal"], "iris", "linear", seeds=2, steps=20,
        ...                  progress=False)
        >>> [row["loss"] for row in report.rows()]
        ['cross_entropy', 'focal']
    """
    destination = Destination(out, overwrite, resume, progress, as_execution(workers))
    check_threads(threads)
    tasks = {each.name: each for each in as_tasks(task, device, data_dir, metric)}
    models = _several(model, (str, Family))
    named_losses = _as_losses(losses, next(iter(tasks.values())).task.kind)
    names = {model_name(each, one.task): each for each, one in product(models, tasks.values())}
    try:
        shares = tuple(float(factor) for factor in factors)
    except (TypeError, ValueError):
        raise ConfigurationError(f"factors must be numbers, not {factors!r}") from None
    if tune not in get_args(Tune):
        raise unknown_name("choice of tune", str(tune), get_args(Tune))
    grid = Grid(
        losses=tuple(each.name for each in named_losses),
        tasks=tuple(tasks),
        models=tuple(names),
        seeds=seeds,
        first_seed=seed,
        recipe=as_recipe(recipe, preset, settings, "compare", next(iter(tasks))),
        adalfl=as_adalfl(adalfl, preset),
        adapt_on=check_adapt_on(adapt_on),
        tune=tune,
        factors=shares,
        tuning_seeds=tuning_seeds,
        task_loss=task_loss,
    )
    objects = {what for each in models for what in given_objects(task, each)}
    experiment = CompareExperiment(
        grid,
        tasks,
        names,
        {each.name: each for each in named_losses},
        preset,
        tuple(sorted(objects, reverse=True)),
        threads,
    )
    experiment.check()
    return perform(experiment, ComparisonReport, destination)


@final
@dataclass(frozen=True)
class CompareExperiment(Experiment[ComparisonReport]):
    """A comparison that can be resumed.

    Attributes:
        grid: what is trained, by name.
        tasks: by name.
        models: by name.
        losses: by name.
        preset: named in the result.
        given: what was given as objects: "task", "model".
        threads: of PyTorch in each training; None for as many as there are.
    """

    command: ClassVar[str] = "compare"

    grid: Grid
    tasks: Mapping[str, GivenTask]
    models: Mapping[str, Model]
    losses: Mapping[str, GivenLoss]
    preset: str
    given: tuple[str, ...] = ()
    threads: int | None = None

    @classmethod
    def restored(cls, folder: RunFolder) -> "CompareExperiment":
        """Return the comparison that a run was begun with."""
        config = folder.config
        require_fields(config, FIELDS, folder.path)
        if "model" in config.get("given", ()):
            raise begun_from_python(folder.path, "network")
        content, saved = config["grid"], saved_losses(config, folder.path)
        nested = {
            "recipe": from_plain(Recipe, content["recipe"]),
            "adalfl": from_plain(AdaLFL, content["adalfl"]),
        }
        grid: Grid = from_plain(Grid, content | nested)
        tasks = {
            name: load_unchanged(config, name, config["data"][name], folder.path)
            for name in grid.tasks
        }
        losses = {name: GivenLoss(name, saved.get(name)) for name in grid.losses}
        return cls(
            grid,
            tasks,
            {name: name for name in grid.models},
            losses,
            config["preset"],
            threads=config.get("threads"),
        )

    @property
    def metric(self) -> Metric:
        """What the performance on all tasks is measured by."""
        return next(iter(self.tasks.values())).task.measure

    def check(self) -> None:
        """Raise `LossforgeError` where a loss does not fit a task."""
        for task, name in product(self.tasks.values(), self.grid.losses):
            model, rate = self.grid.models[0], self.grid.recipe.learning_rate
            self.training_config(Cell(task.name, model, name, rate, 0)).check(task.task)

    def training_config(self, cell: Cell) -> TrainingConfig:
        """Return how a cell's network is trained."""
        return replace(self.grid.training_config(cell), loss=self.losses[cell.loss].source)

    def is_tuned(self, entry: Entry) -> bool:
        """Tell whether an entry is trained at its best learning rate, too."""
        return self.grid.is_tuned(entry.loss, self.losses[entry.loss].is_handcrafted)

    def plan(self) -> Plan:
        """Return how many trainings each stage has."""
        grid, entries = self.grid, list(self.grid.entries())
        tuned = sum(map(self.is_tuned, entries))
        tuning = len(grid.factors) * grid.tuning_seeds
        return (
            (TRAINING, len(entries) * grid.seeds + tuned * tuning),
            (AT_BEST_RATES, tuned * grid.seeds),
        )

    def with_loaded_losses(self) -> "CompareExperiment":
        """Return the same comparison for other machines, where loss files are not."""
        losses = {name: each.loaded() for name, each in self.losses.items()}
        return replace(self, losses=losses)

    def objects(self) -> dict[str, Loss]:
        """Return the losses that were given as objects, by name."""
        return {name: each.loss for name, each in self.losses.items() if each.loss is not None}

    def config(self) -> State:
        """Return the configuration, as plain data."""
        config: State = plain(
            {
                "version": __version__,
                "command": self.command,
                "preset": self.preset,
                "threads": self.threads,
                **dict(item for each in self.tasks.values() for item in each.config().items()),
                "grid": asdict(self.grid),
                "data": {name: each.task.fingerprint() for name, each in self.tasks.items()},
                **losses_config(self.losses.values()),
                **objects_config(self.given, self.objects()),
            }
        )
        return config

    def default_name(self) -> str:
        """Return the name of the run's folder where the user gives none."""
        return f"compare-{'-'.join(each.task.name for each in self.tasks.values())}"

    def carry_out(self, run: Run, *, progress: Shown, executor: Executor) -> ComparisonReport:
        """Train what is left of the grid, then write its tables and plots."""
        title = announce(f"comparing {len(self.grid.losses)} losses", run)
        with ProgressReporter(
            title, shown=progress, plan=self.plan(), listener=run.write_progress
        ) as reporter:
            lines = _Work(self, run, reporter, executor).lines()
        compared = compare_lines(lines)
        over_all = overall(compared, self.grid.first_seed)
        metric = self.metric
        summaries = [each.summary(metric) for each in compared]
        result = self._result(metric, summaries, run.seconds)
        scales = {
            n: each.task.target_scale for n, each in self.tasks.items() if each.task.metric == "mse"
        }
        if lone := {name: scale[0] for name, scale in scales.items() if len(scale) == 1}:
            result["target_scales"] = lone
        if over_all is not None:
            result["overall"] = over_all.summary()
        if run.path is not None:
            self._write_tables(result, [line.shown(metric) for line in lines], run.path)
        run.write_result(result)
        return ComparisonReport(run)

    def _write_tables(self, result: State, lines: Sequence[Line], path: Path) -> None:
        """Write report.md and, where matplotlib is installed, the training curves."""
        text = "\n".join(table.markdown() for table in comparison_tables(result))
        write_atomically(path / "report.md", text)
        if not has_extra("plots"):
            return
        for (task, model), some in groupby(lines, key=lambda line: (line.task, line.model)):
            title = f"{result['metric']} on {task} with {model}, {self.grid.recipe.steps} steps"
            stem = path / re.sub(r"[^\w.-]+", "_", f"curves-{task}-{model}")
            plot_curves(title, result["metric"], list(some), stem)
        if "overall" in result:
            save_figure(ranks_figure(result), path / "ranks")

    def _result(self, metric: Metric, summaries: list[State], seconds: float) -> State:
        grid, first = self.grid, summaries[0]
        others, facts = summaries[1:] or summaries, metric_facts(metric)
        best = min(others, key=lambda line: cost_of(facts, line["valid"]))
        return {
            "method": self.command,
            "task": ",".join(grid.tasks),
            "model": ",".join(grid.models),
            "seed": grid.first_seed,
            **facts,
            "valid": best["valid"],
            "test": best["test"],
            "loss": best["loss"],
            "baseline": {key: first[key] for key in ("valid", "test")} | {"name": first["loss"]},
            "lines": summaries,
            "evaluations": sum(len(line["tests"]) for line in summaries),
            "steps": grid.recipe.steps,
            "seeds": grid.seeds,
            "seconds": round(seconds, 3),
            "preset": self.preset,
            "version": __version__,
        }


@final
@dataclass(frozen=True)
class TrainCell:
    """Trains the networks of a comparison's cells, in any process.

    Attributes:
        experiment: the comparison.
    """

    experiment: CompareExperiment

    def __call__(self, cell: Cell, report: Progress) -> tuple[Outcome, str | None]:
        """Return how a cell's network fared, and what to tell of it beforehand.

        Args:
            cell: the training.
            report: receives progress.
        """
        config = self.experiment.training_config(cell)
        task, model = self.experiment.tasks[cell.task].task, self.experiment.models[cell.model]
        try:
            training = config.begin(task, model, cell.seed, partial(report, "warming up"))
        except DivergedError as error:
            return _failed(cell, str(error))
        objective = training.objective
        told = describe_warm_up(objective.adapt) if isinstance(objective, Adapting) else None
        return training.run(lambda: None, report), told


def _failed(cell: Cell, reason: str) -> tuple[Outcome, str | None]:
    return Outcome(math.inf, math.inf, 0, (), reason), None


@dataclass
class _Work:
    """The grid with the cells that are done."""

    experiment: CompareExperiment
    run: Run
    reporter: ProgressReporter
    executor: Executor
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._train_cell = TrainCell(self.experiment.with_loaded_losses())
        state = self.run.restore()
        if state is not None:
            self.outcomes = {key: _outcome(row) for key, row in state["cells"].items()}

    def lines(self) -> list[Line]:
        """Train what is left and return all entries."""
        grid = self.experiment.grid
        rate, entries = grid.recipe.learning_rate, list(grid.entries())
        tuned = [each for each in entries if self.experiment.is_tuned(each)]
        tuning = {each: list(grid.tuning_cells(*each)) for each in tuned}
        # As many cells at once as do not depend on others, so that many workers have work.
        self._train(
            [
                cell
                for each in entries
                for cell in (*grid.cells(*each, rate), *tuning.get(each, ()))
            ],
            TRAINING,
        )
        rates = {each: best_rate(tuning[each], self.outcomes) for each in tuned}
        self._train(
            [cell for each in tuned for cell in grid.cells(*each, rates[each])], AT_BEST_RATES
        )
        found = list[Line]()
        for each in entries:
            found.append(self._line(each, rate, is_tuned=False))
            if each in rates:
                found.append(self._line(each, rates[each], is_tuned=True))
        return found

    def _line(self, entry: Entry, rate: float, *, is_tuned: bool) -> Line:
        cells = self.experiment.grid.cells(*entry, rate)
        outcomes = tuple(self.outcomes[cell.key] for cell in cells)
        is_handcrafted = self.experiment.losses[entry.loss].is_handcrafted
        return Line(*entry, rate, is_tuned, outcomes, is_handcrafted)

    def _train(self, cells: Sequence[Cell], stage: str) -> None:
        left = list({cell.key: cell for cell in cells if cell.key not in self.outcomes}.values())
        tally = Tally(self.reporter.progress, stage, len(left), self.executor.workers)
        found = self.executor.map(self._train_cell, left, tally, _failed)
        for cell, (outcome, told) in zip(left, found, strict=True):
            if told is not None:
                self.reporter.tell(told)
            self.outcomes[cell.key] = outcome
            state = {"cells": {key: _row(o) for key, o in self.outcomes.items()}}
            valid = self.experiment.metric.shown(outcome.valid)
            self.run.checkpoint(state, plain({"cell": cell.key, "valid": valid}))
            self.reporter.tell(f"{cell.key}: {outcome.failure or f'{valid:.4f}'}")


def _several(value: Any, single: tuple[type, ...]) -> list[Any]:
    """Return one or several values as a list."""
    if isinstance(value, single) or not isinstance(value, Sequence):
        return [value]
    return list(value)


def _as_losses(losses: Losses, kind: Kind) -> list[GivenLoss]:
    if isinstance(losses, Mapping):
        return [as_loss(loss, kind, str(name)) for name, loss in losses.items()]
    if isinstance(losses, str | Path | Loss):
        return [as_loss(losses, kind)]
    several: object = losses
    if not isinstance(several, Sequence):
        check_is_loss(several)
    found = [as_loss(loss, kind) for loss in losses]
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        raise ConfigurationError("a loss is named twice; give each once, or a mapping of names")
    return found


def _row(outcome: Outcome) -> list[Any]:
    curve = [list(check) for check in outcome.curve]
    row: list[Any] = plain([outcome.valid, outcome.test, outcome.step, curve, outcome.failure])
    return row


def _outcome(row: list[Any]) -> Outcome:
    valid, test, step, curve, failure = row
    valid, test = (math.inf if value is None else value for value in (valid, test))
    checks = tuple((int(at), float(score)) for at, score in curve)
    return Outcome(valid, test, step, checks, failure)
