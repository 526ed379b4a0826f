"""A search with the comparison that closes it: the learned loss against handcrafted ones."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, final

from lossforge import __version__
from lossforge.errors import unknown_name
from lossforge.experiments.arguments import (
    GivenTask,
    Preset,
    Workers,
    as_execution,
    as_tasks,
    begun_from_python,
    check_preset,
    from_plain,
    given_objects,
    load_unchanged,
    model_name,
    objects_config,
    require_fields,
)
from lossforge.experiments.closing import (
    LEARNED,
    Closing,
)
from lossforge.experiments.comparison import Comparison
from lossforge.experiments.experiment import (
    Destination,
    Experiment,
    Out,
    announce,
    perform,
)
from lossforge.experiments.paper import comparison_for
from lossforge.experiments.search_outcome import TaskOutcome, closing_result
from lossforge.experiments.search_plan import search_plan
from lossforge.experiments.search_report import SearchReport
from lossforge.experiments.search_settings import (
    CALIBRATIONS,
    COMPARISONS,
    as_method,
    with_own_settings,
)
from lossforge.experiments.watching import Progress as Watched
from lossforge.files import plain
from lossforge.losses import Handcrafted, Loss
from lossforge.methods import METHODS
from lossforge.models import Model
from lossforge.progress import Plan, ProgressReporter, Shown
from lossforge.runs import Run, RunFolder, RunJournal
from lossforge.searching import (
    Calibrated,
    Calibration,
    Calibrator,
    Method,
    NullJournal,
    Problem,
    SearchResult,
    State,
    make_problems,
    rivals_of,
)
from lossforge.searching.executors import Executor, check_threads
from lossforge.searching.loop import Loop
from lossforge.tasks import Task, TaskLike
from lossforge.tasks.metrics import Metric, MetricLike
from lossforge.validation import require, require_whole

NONE, RIVAL = "none", "rival"
"""class weights of candidates: none, or those of the best handcrafted loss, of one task"""

CALIBRATION = "calibration"
"""folder of a run that holds what the calibration has trained"""

FIELDS = {"method", "task", "model", "seed", "device", "settings", "comparison", "data"}
"""what a search's configuration must have"""


def search(
    method: str | Method[Any, Any],
    task: TaskLike | Sequence[TaskLike],
    model: Model = "mlp",
    *,
    metric: MetricLike | None = None,
    seed: int = 0,
    preset: Preset = "quick",
    comparison: Comparison | None = None,
    calibration: Calibration | None = None,
    out: Out = None,
    overwrite: bool = False,
    resume: bool = False,
    data_dir: str | Path | None = None,
    device: str = "auto",
    threads: int = 1,
    workers: Workers = 1,
    progress: Watched = True,
    **settings: Any,
) -> SearchReport:
    """Search for a loss, then compare it with handcrafted losses over fresh seeds.

    Does exactly what ``lossforge search`` does.

    Args:
        method: a name from ``lossforge list methods``, or a method with its hyper-parameters.
        task: a name from ``lossforge list tasks``, or a `lossforge.tasks.Task`; or several, of one
            kind, for one loss that serves them all: its fitness is the mean over the tasks, and the
            closing comparison is made on each.
        model: a name from ``lossforge list models`` with options (``mlp:width=128``), or a
            function without arguments that returns a fresh network.
        metric: what the search optimizes and tables show: a name, such as "f1" or "auroc", a
            function with its direction (`lossforge.OwnMetric`), or a metric of ``torchmetrics``;
            by default what the task is measured by.
        seed: the same seed finds the same loss on the same machine.
        preset: minutes on two cores, or the published settings (of several tasks, those of the
            first); for a method given as an object, of the closing comparison alone.
        comparison: settings of the closing comparison; by default the preset's.
        calibration: how handcrafted losses and their learning rates are tried; by default the
            preset's.
        out: the run's folder; by default nothing is written.
        overwrite: discard the run that `out` holds.
        resume: continue the run that `out` holds.
        data_dir: where data sets that come from files are; by default LOSSFORGE_DATA.
        device: cpu, cuda, or auto: a GPU if there is one.
        threads: of PyTorch in each process; another number changes the last bits of results.
        workers: how many processes train side by side, "auto" for one per core where there is
            enough work, or an `Execution`; no result depends on it.
        progress: show progress on standard error.
        **settings: hyper-parameters that differ from the preset's, such as ``population=8``,
            ``compare_seeds=3`` or ``rivals=False``.

    Returns:
        The report, with the loss, its test metrics, those of handcrafted losses, and which of them
        is recommended.

    Raises:
        LossforgeError: an argument is wrong, or no candidate could train a network.

    Examples:
        >>> tiny = {"population": 4, "generations": 1, "meta_steps": 2, "fitness_steps": 5}
        >>> report = search("evomal", "iris", "linear", progress=False, compare_steps=5,
        ...                 compare_seeds=1, filter_steps=10, **tiny)
        >>> report.result["metric"], report.loss.kind.name
        ('error_rate', 'classification')
        >>> sorted(report.recommended)
        ['name', 'rate', 'valid']
    """
    destination = Destination(out, overwrite, resume, progress, as_execution(workers))
    experiment = SearchExperiment.of(
        method,
        as_tasks(task, device, data_dir, metric),
        model,
        seed=seed,
        preset=preset,
        comparison=comparison,
        calibration=calibration,
        settings=settings,
        given=given_objects(task, model),
        threads=threads,
    )
    return perform(experiment, SearchReport, destination)


@final
@dataclass(frozen=True)
class SearchExperiment(Experiment[SearchReport]):
    """A search that can be resumed.

    Attributes:
        method: with its hyper-parameters.
        tasks: what networks train on.
        model: which networks train.
        seed: of the search.
        preset: named in the result.
        comparison: settings of the closing comparison.
        calibration: how handcrafted losses and their learning rates are tried.
        given: what was given as objects: "task", "model".
        threads: of PyTorch in each process; None for as many as there are.
    """

    command: ClassVar[str] = "search"

    method: Method[Any, Any]
    tasks: tuple[GivenTask, ...]
    model: Model
    model_name: str
    seed: int
    preset: str
    comparison: Comparison
    calibration: Calibration
    given: tuple[str, ...] = ()
    threads: int | None = None

    @classmethod
    def of(
        cls,
        method: str | Method[Any, Any],
        tasks: tuple[GivenTask, ...],
        model: Model,
        *,
        seed: int,
        preset: Preset,
        comparison: Comparison | None,
        calibration: Calibration | None,
        settings: Mapping[str, Any],
        given: tuple[str, ...],
        threads: int | None,
    ) -> "SearchExperiment":
        """Return the search that arguments ask for, all of them checked."""
        require_whole("seed", seed, 0)
        if threads is not None:
            check_threads(threads)
        check_preset(preset)
        first = tasks[0].name
        comparison, rest = with_own_settings(
            comparison_for(preset, first, COMPARISONS[preset])
            if comparison is None
            else comparison,
            Comparison,
            settings,
        )
        calibration, rest = with_own_settings(
            CALIBRATIONS[preset] if calibration is None else calibration, Calibration, rest
        )
        made = as_method(method, preset, first).with_options(**rest)
        weights = made.settings().get("class_weights", NONE)
        require(
            len(tasks) == 1 or weights in (NONE, RIVAL),
            f"class_weights {weights} counts the classes of one task; search on one, or without it",
        )
        make_problems([each.task for each in tasks], model)
        name = model_name(model, tasks[0].task)
        return cls(made, tasks, model, name, seed, preset, comparison, calibration, given, threads)

    @classmethod
    def restored(cls, folder: RunFolder) -> "SearchExperiment":
        """Return the search that a run was begun with."""
        config = folder.config
        require_fields(config, FIELDS, folder.path)
        if config["method"] not in METHODS:
            raise unknown_name("method", str(config["method"]), METHODS)
        if "model" in config.get("given", ()):
            raise begun_from_python(folder.path, f"network {config['model']}")
        method = METHODS[config["method"]].from_settings(config["settings"])
        comparison = from_plain(Comparison, config["comparison"])
        # A run that was begun before there were calibrations ends as it was meant to.
        calibration = Calibration(**config.get("calibration", {"rivals": False}))
        names, data = config["task"], config["data"]
        prints = {names: data} if isinstance(names, str) else {name: data[name] for name in names}
        return cls(
            method,
            tuple(load_unchanged(config, *each, folder.path) for each in prints.items()),
            config["model"],
            config["model"],
            config["seed"],
            config["preset"],
            comparison,
            calibration,
            threads=config.get("threads"),
        )

    def config(self) -> State:
        """Return the configuration, as plain data; of one task, without a list of tasks."""
        prints = {each.name: each.task.fingerprint() for each in self.tasks}
        (data, *several), names = prints.values(), list(prints)
        config: State = plain(
            {
                "version": __version__,
                "command": self.command,
                "method": self.method.name,
                "preset": self.preset,
                "task": names if several else names[0],
                "model": self.model_name,
                "seed": self.seed,
                "threads": self.threads,
                **dict(item for each in self.tasks for item in each.config().items()),
                "settings": self.method.settings(),
                "comparison": asdict(self.comparison),
                "calibration": asdict(self.calibration),
                "data": prints if several else data,
                **objects_config(self.given, {}),
            }
        )
        return config

    def default_name(self) -> str:
        """Return the name of the run's folder where the user gives none."""
        tasks = "-".join(each.task.name for each in self.tasks)
        return f"{self.method.name}-{tasks}-{self.seed}"

    def carry_out(self, run: Run, *, progress: Shown, executor: Executor) -> SearchReport:
        """Search and compare, from where the run stands."""
        problems = make_problems([each.task for each in self.tasks], self.model)
        with ProgressReporter(
            announce(self._title(), run),
            shown=progress,
            rounds=self.method.rounds,
            round_name=self.method.round_name,
            plan=self.plan(problems),
            listener=run.write_progress,
        ) as reporter:
            calibrators, calibrated = list[Calibrator](), list[Calibrated | None]()
            for number, problem in enumerate(problems):
                calibrators.append(self._calibrator(number, problem, run, reporter, executor))
                calibrated.append(calibrators[-1].calibrate() if self.calibration.rivals else None)
                if (best := calibrated[-1]) is not None:
                    told = _describe(best, problem.task.measure)
                    reporter.tell(self._stage(number, told))
            journal = RunJournal(run, reporter)
            method = self.method
            if len(problems) == 1:  # weights count the classes of one task
                method = weighted_like(method, calibrated[0], problems[0].task)
            found = Loop(method, problems, self.seed, journal, executor).run()
            run.write_loss(found.loss)
            outcomes = [
                self._outcome(*each, found.loss, reporter, executor)
                for each in zip(
                    range(len(problems)), problems, calibrators, calibrated, strict=True
                )
            ]
        run.write_result(self._result(found, outcomes, run.seconds))
        return SearchReport(run)

    def _title(self) -> str:
        tasks = " and ".join(each.name for each in self.tasks)
        return (
            f"{self.method.name} on {tasks} with {self.model_name}, seed {self.seed}, "
            f"preset {self.preset}"
        )

    def plan(self, problems: Sequence[Problem]) -> Plan:
        """Return about how much work each stage is."""
        whole = Calibrator(
            self.calibration,
            self.method.fitness,
            problems,
            self.method.base,
            self.seed,
            NullJournal(),
        )
        return search_plan(
            self.method,
            self.comparison,
            self.calibration,
            [self._stage(number, "") for number in range(len(problems))],
            (whole.expected_steps(len(rivals_of(problems[0].task))), whole.expected_steps(1)),
        )

    def _stage(self, number: int, stage: str) -> str:
        """Return what a stage on one of the tasks is called: with its name where there are more."""
        return stage if len(self.tasks) == 1 else f"{self.tasks[number].name}: {stage}"

    def _calibrator(
        self,
        number: int,
        problem: Problem,
        run: Run,
        reporter: ProgressReporter,
        executor: Executor,
    ) -> Calibrator:
        """Return what calibrates the handcrafted losses on one of the tasks."""
        folder = CALIBRATION if len(self.tasks) == 1 else f"{CALIBRATION}-{number + 1}"
        listener = _OnTask(reporter, self._stage(number, ""))
        return Calibrator(
            self.calibration,
            self.method.fitness,
            [problem],
            self.method.base,
            self.seed,
            RunJournal(run.child(folder, run.config), listener),
            self.method.trial_problems([problem]),
            executor,
        )

    def _outcome(
        self,
        number: int,
        problem: Problem,
        calibrator: Calibrator,
        calibrated: Calibrated | None,
        loss: Loss,
        reporter: ProgressReporter,
        executor: Executor,
    ) -> TaskOutcome:
        """Compare the learned loss with handcrafted ones on one of the tasks."""
        tuned = calibrator.tune(LEARNED, loss) if calibrated is not None else None
        progress = _OnTask(reporter, self._stage(number, "")).progress
        close = Closing(self.comparison, problem, self.method.base, self.seed, progress, executor)
        contenders = close(loss, calibrated, tuned, self.calibration.rival_runs)
        return TaskOutcome(self.tasks[number], contenders, calibrated, calibrator.training_steps)

    def _result(
        self, found: SearchResult, outcomes: Sequence[TaskOutcome], seconds: float
    ) -> State:
        result: State = plain(
            {
                "method": self.method.name,
                "task": ",".join(each.name for each in self.tasks),
                "model": self.model_name,
                "seed": self.seed,
                **closing_result(outcomes, found, self.method.base.learning_rate),
                "compare_steps": self.comparison.compare_steps,
                "seconds": round(seconds, 3),
                "preset": self.preset,
                "version": __version__,
            }
        )
        return result


def copies_weights(method: Method[Any, Any], task: Task) -> bool:
    """Tell whether candidates weigh classes as the best handcrafted loss does, which may do so."""
    if method.settings().get("class_weights") != RIVAL:
        return False
    return any(map(_weighting, rivals_of(task).values()))


def weighted_like(
    method: Method[Any, Any], calibrated: Calibrated | None, task: Task
) -> Method[Any, Any]:
    """Return a method whose candidates weigh classes as the best handcrafted loss does.

    It is the method itself unless its option class_weights is "rival" and some rivals are weighted.

    Args:
        method: of the search.
        calibrated: the handcrafted losses; None where they were not calibrated.
        task: on which they were.
    """
    if not copies_weights(method, task):
        return method
    best = _weighting(rivals_of(task)[calibrated.best.name]) if calibrated else None
    return method.with_options(class_weights=best or NONE)


def _weighting(loss: Loss) -> str | None:
    return loss.weighting if isinstance(loss, Handcrafted) else None


@final
class _OnTask:
    """Passes on the progress of a stage on one task, and not its history.

    Args:
        reporter: of the run.
        prefix: of the stage's name.
    """

    def __init__(self, reporter: ProgressReporter, prefix: str):
        self._reporter, self._prefix = reporter, prefix

    def generation(self, entry: State) -> None:
        """Keep the line of history to the run."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Receive progress of the current stage."""
        self._reporter.progress(f"{self._prefix}{stage}", done, total)


def _describe(calibrated: Calibrated, measure: Metric) -> str:
    best, default = calibrated.best.shown(measure), calibrated.default.shown(measure)
    told = f"best handcrafted loss: {best.name} at learning rate {best.learning_rate:.3g}"
    told += f", {measure.name} {best.valid:.4g}"
    if best != default:
        told += f"; {default.name} has {default.valid:.4g} at {default.learning_rate:.3g}"
    return told
