"""A search with the comparison that closes it: the learned loss against handcrafted ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, final

from lossforge import __version__
from lossforge.errors import ConfigurationError, RunError, unknown_name
from lossforge.experiments.arguments import (
    GivenTask,
    Preset,
    Workers,
    as_execution,
    as_task,
    begun_from_python,
    check_preset,
    from_plain,
    given_objects,
    load_unchanged,
    model_name,
    objects_config,
    require_fields,
    with_settings,
)
from lossforge.experiments.closing import (
    AT_BEST_RATES,
    LEARNED,
    Closing,
    Contenders,
    recommendation,
)
from lossforge.experiments.comparison import COMPARING, Comparison
from lossforge.experiments.experiment import (
    Destination,
    Experiment,
    Out,
    Report,
    announce,
    perform,
)
from lossforge.experiments.measured import cost, costs, direction, is_maximized, metric_facts
from lossforge.experiments.paper import comparison_for, search_options
from lossforge.experiments.repeating import DEFAULTS, repeat_command
from lossforge.experiments.statistics import mean_and_deviation, paired_comparison
from lossforge.experiments.tables import Table, number
from lossforge.experiments.units import original_units, scale_note
from lossforge.experiments.watching import Progress as Watched
from lossforge.files import plain
from lossforge.losses import Handcrafted, Loss
from lossforge.methods import METHODS
from lossforge.models import Model
from lossforge.progress import Plan, ProgressReporter, Shown
from lossforge.runs import Run, RunFolder, RunJournal
from lossforge.runs.folder import LOSS
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
from lossforge.searching.calibrate import CALIBRATING, TUNING
from lossforge.searching.executors import Executor, check_threads
from lossforge.searching.options import flatten
from lossforge.tasks import Task, TaskLike
from lossforge.tasks.metrics import Metric, MetricLike
from lossforge.validation import require_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPARISONS = {"quick": Comparison(compare_steps=400), "paper": Comparison()}

CALIBRATIONS = {
    "quick": Calibration(rival_steps=100, rival_seeds=1, rival_runs=2),
    "paper": Calibration(rival_steps=2000),
}

SettingsT = TypeVar("SettingsT", Comparison, Calibration)

STEPS_OF_A_META_STEP = 3
"""training steps that take about as long as a step of coefficients with its hypergradient"""

RIVAL = "rival"
"""class weights of candidates: those of the best handcrafted loss"""

CALIBRATION = "calibration"
"""folder of a run that holds what the calibration has trained"""

FIELDS = {"method", "task", "model", "seed", "device", "settings", "comparison", "data"}
"""what a search's configuration must have"""

METRICS = ("valid", "test")

NOISE = 0.05
"""p above which a difference may be noise"""


def search(
    method: str | Method[Any, Any],
    task: TaskLike,
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
) -> "SearchReport":
    """Search for a loss, then compare it with handcrafted losses over fresh seeds.

    Does exactly what ``lossforge search`` does.

    Args:
        method: a name from ``lossforge list methods``, or a method with its hyper-parameters.
        task: a name from ``lossforge list tasks``, or a `lossforge.tasks.Task`.
        model: a name from ``lossforge list models`` with options (``mlp:width=128``), or a
            function without arguments that returns a fresh network.
        metric: what the search optimizes and tables show: a name, such as "f1" or "auroc", a
            function with its direction (`lossforge.OwnMetric`), or a metric of ``torchmetrics``;
            by default what the task is measured by.
        seed: the same seed finds the same loss on the same machine.
        preset: minutes on two cores, or the published settings; for a method given as an object,
            of the closing comparison alone.
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
        as_task(task, device, data_dir, metric),
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
class SearchExperiment(Experiment["SearchReport"]):
    """A search that can be resumed.

    Attributes:
        method: with its hyper-parameters.
        task: what networks train on.
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
    task: GivenTask
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
        task: GivenTask,
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
        comparison, rest = _with_own_settings(
            comparison_for(preset, task.name, COMPARISONS[preset])
            if comparison is None
            else comparison,
            Comparison,
            settings,
        )
        calibration, rest = _with_own_settings(
            CALIBRATIONS[preset] if calibration is None else calibration, Calibration, rest
        )
        made = as_method(method, preset, task.name).with_options(**rest)
        make_problems(task.task, model)
        name = model_name(model, task.task)
        return cls(made, task, model, name, seed, preset, comparison, calibration, given, threads)

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
        task = load_unchanged(config, config["task"], config["data"], folder.path)
        return cls(
            method,
            task,
            config["model"],
            config["model"],
            config["seed"],
            config["preset"],
            comparison,
            calibration,
            threads=config.get("threads"),
        )

    def config(self) -> State:
        """Return the configuration, as plain data."""
        config: State = plain(
            {
                "version": __version__,
                "command": self.command,
                "method": self.method.name,
                "preset": self.preset,
                "task": self.task.name,
                "model": self.model_name,
                "seed": self.seed,
                "threads": self.threads,
                **self.task.config(),
                "settings": self.method.settings(),
                "comparison": asdict(self.comparison),
                "calibration": asdict(self.calibration),
                "data": self.task.task.fingerprint(),
                **objects_config(self.given, {}),
            }
        )
        return config

    def default_name(self) -> str:
        """Return the name of the run's folder where the user gives none."""
        return f"{self.method.name}-{self.task.task.name}-{self.seed}"

    def carry_out(self, run: Run, *, progress: Shown, executor: Executor) -> "SearchReport":
        """Search and compare, from where the run stands."""
        (problem,) = make_problems(self.task.task, self.model)
        title = (
            f"{self.method.name} on {self.task.name} with {self.model_name}, seed {self.seed}, "
            f"preset {self.preset}"
        )
        with ProgressReporter(
            announce(title, run),
            shown=progress,
            rounds=self.method.rounds,
            round_name=self.method.round_name,
            plan=self.plan(),
            listener=run.write_progress,
        ) as reporter:
            calibrator = self._calibrator(problem, run, reporter, executor)
            calibrated = calibrator.calibrate() if self.calibration.rivals else None
            if calibrated is not None:
                reporter.tell(_describe(calibrated, self.task.task.measure))
            journal = RunJournal(run, reporter)
            method = weighted_like(self.method, calibrated, self.task.task)
            found = method.run(
                self.task.task, self.model, self.seed, journal=journal, executor=executor
            )
            run.write_loss(found.loss)
            tuned = calibrator.tune(LEARNED, found.loss) if calibrated is not None else None
            close = Closing(
                self.comparison,
                problem,
                self.method.base,
                self.seed,
                reporter.progress,
                executor,
            )
            contenders = close(found.loss, calibrated, tuned, self.calibration.rival_runs)
        run.write_result(
            self._result(found, contenders, calibrated, calibrator.training_steps, run.seconds)
        )
        return SearchReport(run)

    def plan(self) -> Plan:
        """Return about how much work each stage is, in training steps of one network."""
        settings, fitness = self.method.settings(), self.method.fitness
        candidates = settings.get("population", 1)
        step = fitness.steps + STEPS_OF_A_META_STEP * settings.get("meta_steps", 0)
        finals = 0 if self.method.reevaluation.finalists == 1 else self._final_steps()
        comparison = self.comparison
        runs = min(
            self.calibration.rival_runs or comparison.compare_seeds, comparison.compare_seeds
        )
        plain, tuned = 2 * comparison.compare_seeds, 3 * runs
        if not self.calibration.rivals:
            tuned = 0
        calibrating, tuning = self._calibration_steps()
        return (
            (CALIBRATING, calibrating),
            (self.method.round_name, self.method.rounds * candidates * step),
            ("final", finals),
            (TUNING, tuning),
            (COMPARING, plain * comparison.compare_steps),
            (AT_BEST_RATES, tuned * comparison.compare_steps),
        )

    def _final_steps(self) -> int:
        reevaluation = self.method.reevaluation
        steps = reevaluation.steps or self.method.fitness.steps
        return reevaluation.finalists * reevaluation.runs * steps

    def _calibration_steps(self) -> tuple[int, int]:
        """Return about how many steps it takes to calibrate the handcrafted losses, and to tune."""
        if not self.calibration.rivals:
            return 0, 0
        problems = make_problems(self.task.task, self.model)
        expected = Calibrator(
            self.calibration,
            self.method.fitness,
            problems,
            self.method.base,
            self.seed,
            NullJournal(),
        ).expected_steps
        return expected(len(rivals_of(self.task.task))), expected(1)

    def _calibrator(
        self, problem: Problem, run: Run, reporter: ProgressReporter, executor: Executor
    ) -> Calibrator:
        journal = RunJournal(run.child(CALIBRATION, run.config), _ProgressOnly(reporter))
        return Calibrator(
            self.calibration,
            self.method.fitness,
            [problem],
            self.method.base,
            self.seed,
            journal,
            self.method.trial_problems([problem]),
            executor,
        )

    def _result(
        self,
        found: SearchResult,
        contenders: Contenders,
        calibrated: Calibrated | None,
        calibration_steps: int,
        seconds: float,
    ) -> State:
        measure = self.task.task.measure
        recommended = contenders.recommended().shown(measure)
        contenders = contenders.shown(measure)
        learned, default = contenders.learned, contenders.default
        valid, test = (mean_and_deviation(each)[0] for each in (learned.valid, learned.test))
        result: State = plain(
            {
                "method": self.method.name,
                "task": self.task.name,
                "model": self.model_name,
                "seed": self.seed,
                "outputs": self.task.task.outputs,
                **metric_facts(measure),
                "valid": valid,
                "test": test,
                **original_units(self.task.task, valid, test),
                "loss": str(found.loss),
                "baseline": {
                    "name": default.name,
                    "valid": mean_and_deviation(default.valid)[0],
                    "test": mean_and_deviation(default.test)[0],
                    "tests": default.test,
                },
                "tests": learned.test,
                "rate": self.method.base.learning_rate,
                "fitness": found.valid,
                "evaluations": found.evaluations,
                "counts": found.counts,
                "front": [
                    {"size": member.size, "fitness": member.valid, "loss": str(member.loss)}
                    for member in found.front
                ],
                "rivals": [rival.row() for rival in contenders.rivals],
                "tuned": contenders.tuned.row() if contenders.tuned else None,
                "recommended": recommended.summary(),
                "calibration": {
                    "training steps": calibration_steps,
                    "losses": [each.shown(measure).row() for each in calibrated.losses]
                    if calibrated
                    else [],
                },
                "compare_steps": self.comparison.compare_steps,
                "seconds": round(seconds, 3),
                "preset": self.preset,
                "version": __version__,
            }
        )
        return result


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

    def _is_level(self) -> bool:
        """Whether the learned loss is no worse on validation data than what is recommended."""
        tuned = self.result.get("tuned")
        found = [self.result["valid"], *([tuned["valid"]] if tuned else [])]
        best = cost(self.result, self.recommended["valid"])
        return min(costs(self.result, found)) <= best

    def recommendation(self) -> str:
        """Return in a sentence what to train with.

        Raises:
            RunError: the run is of a version that recommended nothing.
        """
        where = "the learned loss" if self.path is None else str(self.path / LOSS)
        return recommendation(self.recommended, where, is_level=self._is_level())

    def verdict(self) -> str:
        """Return what the paired tests say, in a sentence."""
        return _verdict(self.result)

    def sentence(self) -> str:
        """Return `verdict`, as a sentence."""
        told = self.verdict()
        return f"{told[:1].upper()}{told[1:]}"

    def _command(self, config: State) -> str:
        preset, task = config["preset"], config["task"]
        defaults = as_method(config["method"], preset, task).settings()
        defaults |= asdict(comparison_for(preset, task, COMPARISONS[preset]))
        defaults |= asdict(CALIBRATIONS[preset])
        shared = {key: config.get(key) for key in ("task", "model", "metric", "seed", "preset")}
        options = shared | config["settings"] | config["comparison"]
        options |= config.get("calibration", {})
        return repeat_command(["search", config["method"]], options, defaults | DEFAULTS)

    def tables(self) -> list[Table]:
        """Return the Pareto front, where there is one, and the closing comparisons."""
        front = [self.front_table()] if self.result["front"] else []
        rivals = [self.rivals_table()] if self.rivals else []
        return [*front, self.comparison_table(), *rivals]

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

    def comparison_table(self) -> Table:
        """Return the metrics under the learned loss and under the default loss."""
        rows = [
            (row["loss"], number(row["valid"]), number(row["test"]), number(row["deviation"]))
            for row in self.rows()
        ]
        result = self.result
        title = (
            f"{result['metric']} after {result['compare_steps']} steps of training, "
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
            f"{result['metric']} at learning rates chosen on validation data{_higher(result)}",
            ("loss", "rate", *METRICS, "seeds"),
            tuple(rows),
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return the learned loss and the default loss, each with its metrics."""
        result, baseline = self.result, self.result["baseline"]
        return [
            {
                "loss": name,
                "valid": row["valid"],
                "test": row["test"],
                "deviation": mean_and_deviation(_numbers(row["tests"]))[1],
                "tests": row["tests"],
            }
            for name, row in (("learned loss", result), (baseline["name"], baseline))
        ]

    def plot(self) -> "Figure":
        """Return the test metric of each seed, and the Pareto front where there is one."""
        from lossforge.experiments.plots import draw_front, draw_runs, figure_with

        front = self.result["front"]
        figure, panels = figure_with(2 if front else 1)
        names = [row["loss"] for row in self.rows()]
        draw_runs(panels[0], names, [row["tests"] for row in self.rows()], self.result["metric"])
        if front:
            draw_front(panels[1], front, self.result["metric"])
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


def as_method(method: object, preset: str, task: str = "") -> Method[Any, Any]:
    """Return a search method by name, with a preset's hyper-parameters, or one that is given.

    Args:
        method: a name, or a method.
        preset: of a method that is given by name.
        task: name of the data set, on which a preset may differ.

    Raises:
        UnknownNameError: there is none of that name.
        ConfigurationError: it is no search method.

    Examples:
        >>> as_method("evomal", "quick").rounds
        6
    """
    if isinstance(method, Method):
        return method
    if isinstance(method, type) and issubclass(method, Method):
        raise ConfigurationError(
            f"the method is the class {method.__name__}; give an instance: "
            f'{method.__name__}.preset("quick")'
        )
    if not isinstance(method, str):
        raise ConfigurationError(
            f"the method is a {type(method).__name__}; give a name, such as "
            '"evomal", or a search method'
        )
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    made = METHODS[method].preset(preset)
    return made.with_options(**search_options(preset, task, flatten(made)))


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
    return method.with_options(class_weights=best or "none")


def _weighting(loss: Loss) -> str | None:
    return loss.weighting if isinstance(loss, Handcrafted) else None


@final
class _ProgressOnly:
    """Passes a stage's progress on, and not its history."""

    def __init__(self, reporter: ProgressReporter):
        self._reporter = reporter

    def generation(self, entry: State) -> None:
        """Keep the line of history to the run."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Receive progress of the current stage."""
        self._reporter.progress(stage, done, total)


def _with_own_settings(
    given: SettingsT, kind: type[SettingsT], settings: Mapping[str, Any]
) -> tuple[SettingsT, dict[str, Any]]:
    """Return a dataclass with those of the settings that are its fields, and the other settings."""
    name = kind.__name__
    if not isinstance(given, kind):
        raise ConfigurationError(f"{name.lower()} must be a {name}, not {given!r}")
    own = {item.name for item in fields(kind)} & set(settings)
    made = with_settings(given, {key: settings[key] for key in own}, f"the {name.lower()}")
    return made, {key: value for key, value in settings.items() if key not in own}


def _describe(calibrated: Calibrated, measure: Metric) -> str:
    best, default = calibrated.best.shown(measure), calibrated.default.shown(measure)
    told = f"best handcrafted loss: {best.name} at learning rate {best.learning_rate:.3g}"
    told += f", {measure.name} {best.valid:.4g}"
    if best != default:
        told += f"; {default.name} has {default.valid:.4g} at {default.learning_rate:.3g}"
    return told


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
