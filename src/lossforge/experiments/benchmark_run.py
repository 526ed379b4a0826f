"""Methods by tasks by networks by repetitions: whether learned losses beat what a person would try.

A repetition is a new split, a new search and a new training. In each, the handcrafted losses are
calibrated on the split, every method searches there, what it finds is tuned over the same grid of
learning rates, and one network is trained in full under each and tested once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from lossforge import __version__
from lossforge.errors import ConfigurationError, unknown_name
from lossforge.experiments.arguments import (
    Preset,
    Workers,
    as_execution,
    check_preset,
    objects_config,
    pick_device,
    require_fields,
    saved_losses,
)
from lossforge.experiments.benchmark_cell import (
    HANDCRAFTED_CELL,
    REFERENCES,
    RIVAL,
    CellJob,
    CellResult,
    Entrant,
    carry_out,
    entrant_config,
    forget_splits,
    load_split,
)
from lossforge.experiments.benchmark_entrants import (
    MethodLike,
    as_entrants,
    fitted,
    restored_entrant,
    search_options,
)
from lossforge.experiments.benchmark_report import BenchmarkReport, write_files
from lossforge.experiments.benchmark_settings import (
    Setting,
    check_settings,
    load_suite,
    settings_of,
)
from lossforge.experiments.benchmark_tables import (
    AGAINST,
    Entry,
    compare_with,
    costs_of,
    entries_of,
    over_settings,
)
from lossforge.experiments.experiment import (
    Destination,
    Experiment,
    Out,
    announce,
    perform,
)
from lossforge.experiments.summary import ROPE
from lossforge.experiments.tables import number
from lossforge.experiments.train_settings import PRESETS
from lossforge.experiments.watching import Progress as Watched
from lossforge.files import plain
from lossforge.losses import Loss
from lossforge.methods import AdaLFL, State
from lossforge.methods.adaptive import AdaptiveNumber
from lossforge.progress import ProgressReporter, Shown
from lossforge.runs import Run, RunFolder
from lossforge.runs.folder import CELLS
from lossforge.searching import Method, Progress
from lossforge.searching.executors import Executor, Here, check_threads
from lossforge.tasks import Task
from lossforge.validation import require, require_in_range, require_whole

if TYPE_CHECKING:
    pass

FIELDS = {"settings", "methods", "seed", "rope", "device", "preset"}
"""what a benchmark's configuration must have"""


def carry_out_cell(job: CellJob, report: Progress) -> CellResult:
    """Carry out a cell in a worker, where nothing is kept of it before its end."""
    return carry_out(job, None, report)


def benchmark(
    methods: MethodLike | Sequence[MethodLike] | Mapping[str, MethodLike] | None = None,
    task: str | Sequence[str] = (),
    model: str | Sequence[str] = "mlp:width=128",
    *,
    metric: str = "",
    suite: str | None = None,
    settings: Sequence[Setting] = (),
    repetitions: int = 0,
    seed: int = 0,
    budget: float = 1.0,
    rope: float = ROPE,
    preset: Preset | None = None,
    base: Setting | None = None,
    out: Out = None,
    overwrite: bool = False,
    resume: bool = False,
    data_dir: str | Path | None = None,
    device: str = "auto",
    threads: int = 1,
    workers: Workers = 1,
    progress: Watched = True,
) -> BenchmarkReport:
    """Compare methods of finding losses with the best handcrafted losses, over repetitions.

    Does exactly what ``lossforge benchmark`` does.

    Args:
        methods: names from ``lossforge list methods``, with options that differ from the preset's
            (``"evomal:population=24"``); search methods; losses, by name or as objects, which are
            only tuned; ``"adalfl"`` or ``"adaptive:FORM"``; or a mapping from what tables call
            them. By default the suite's.
        task: names of tasks.
        model: names of networks; each is trained on each task.
        metric: what searches optimize, all that is chosen on validation rows is chosen by, and
            tables show: a name, such as "f1"; by default what each task is measured by.
        suite: settings from a file of the package, in place of tasks and networks: "small",
            "twelve", "thesis" or "thesis-scaled".
        settings: tasks with networks and how much is trained there, in place of the others.
        repetitions: of every task and network, a new split, search and training each; of a suite,
            at most so many; 0 for as many as the settings say.
        seed: of the first repetition; the others count on.
        budget: share of the settings' numbers of steps.
        rope: half the width of the region of practical equivalence, in the metric's unit.
        preset: of methods given by name; by default the suite's, or "quick".
        base: recipe, calibration and search options of tasks and networks given by name.
        out: the run's folder; by default nothing is written.
        overwrite: discard the run that `out` holds.
        resume: continue the run that `out` holds.
        data_dir: where data sets that come from files are; by default LOSSFORGE_DATA.
        device: cpu, cuda, or auto: a GPU if there is one.
        threads: of PyTorch in each process; another number changes the last bits of results.
        workers: how many processes carry out cells side by side, "auto" for one per core where
            there is enough work, or an `Execution`; no result depends on it. With 1, an interrupted
            search continues from its last checkpoint; else a cell that was interrupted begins anew.
        progress: show progress on standard error.

    Returns:
        The report, with tables, statistics and figures.

    Raises:
        LossforgeError: an argument is wrong.

    Examples:
        >>> from lossforge.training.full import Recipe
        >>> short = Setting("", recipe=Recipe(steps=20, check_every=10))
        >>> report = benchmark("focal:gamma=1", "iris", "linear", repetitions=2, base=short,
        ...                    progress=False)
        >>> [row["entry"] for row in report.rows()][:4]
        ['default loss', 'default loss', 'default loss, tuned rate', 'default loss, tuned rate']
    """
    destination = Destination(out, overwrite, resume, progress, as_execution(workers))
    experiment = BenchmarkExperiment.of(
        methods,
        _settings(task, model, suite, settings, repetitions, budget, base, metric),
        suite=suite,
        seed=seed,
        rope=rope,
        preset=preset,
        device=device,
        data_dir=data_dir,
        threads=threads,
    )
    experiment.check()
    return perform(experiment, BenchmarkReport, destination)


@final
@dataclass(frozen=True)
class BenchmarkExperiment(Experiment[BenchmarkReport]):
    """A benchmark that can be resumed.

    Attributes:
        methods: what is compared, by name.
        settings: tasks with networks.
        seed: of the first repetition.
        rope: half the width of the region of practical equivalence.
        preset: named in the result.
        adalfl: settings of losses that adapt in training.
        device: of networks and data.
        data_dir: where data sets that come from files are.
        threads: of PyTorch in each process; None for as many as there are.
    """

    command: ClassVar[str] = "benchmark"

    methods: Mapping[str, Entrant]
    settings: tuple[Setting, ...]
    seed: int
    rope: float
    preset: str
    adalfl: AdaLFL
    device: str
    data_dir: str | None
    threads: int | None = None

    @classmethod
    def of(
        cls,
        methods: MethodLike | Sequence[MethodLike] | Mapping[str, MethodLike] | None,
        settings: tuple[Setting, ...],
        *,
        suite: str | None,
        seed: int,
        rope: float,
        preset: Preset | None,
        device: str,
        data_dir: str | Path | None,
        threads: int,
    ) -> "BenchmarkExperiment":
        """Return the benchmark that arguments ask for, all of them checked."""
        require_whole("seed", seed, 0)
        require_in_range("rope", rope, 0)
        check_threads(threads)
        forget_splits()
        of_suite = load_suite(suite) if suite is not None else None
        chosen = preset or (of_suite.preset if of_suite else "quick")
        check_preset(chosen)
        given = methods if methods is not None else (of_suite.methods if of_suite else ())
        folder = None if data_dir is None else str(Path(data_dir).resolve())
        return cls(
            as_entrants(given, chosen),
            settings,
            seed,
            rope,
            chosen,
            PRESETS[chosen][1],
            str(pick_device(device)),
            folder,
            threads,
        )

    @classmethod
    def restored(cls, folder: RunFolder) -> "BenchmarkExperiment":
        """Return the benchmark that a run was begun with."""
        config = folder.config
        require_fields(config, FIELDS, folder.path)
        forget_splits()
        saved = saved_losses(config, folder.path)
        methods = {
            name: saved[name] if name in saved else restored_entrant(content, folder.path)
            for name, content in config["methods"].items()
        }
        return cls(
            methods,
            tuple(Setting.from_config(each) for each in config["settings"]),
            config["seed"],
            config["rope"],
            config["preset"],
            PRESETS[config["preset"]][1],
            config["device"],
            config.get("data_dir"),
            config.get("threads"),
        )

    def _split(self, setting: Setting) -> Task:
        """Return a task on the split of the first repetition."""
        return load_split(setting, self.seed, self.data_dir, self.device)

    @cached_property
    def _fingerprints(self) -> list[str]:
        """What shows that the data of a setting were replaced, one a setting."""
        return [self._split(each).fingerprint() for each in self.settings]

    def check(self) -> None:
        """Raise `LossforgeError` where a task, a network or a method is wrong."""
        from lossforge.searching import make_problems

        for setting in self.settings:
            task = self._split(setting)
            make_problems(task, setting.model)
            for name, entrant in self.methods.items():
                if isinstance(entrant, Method):
                    fitted(entrant, setting)
                elif isinstance(entrant, Loss) and not task.kind.shares_losses_with(entrant.kind):
                    raise ConfigurationError(
                        f"{name} is a loss for {entrant.kind}, and {setting.task} is {task.kind}"
                    )
                elif isinstance(entrant, str) and entrant != AdaLFL.name:
                    AdaptiveNumber.named(entrant, task.kind)

    def objects(self) -> dict[str, Loss]:
        """Return the losses among the methods, by name."""
        return {name: each for name, each in self.methods.items() if isinstance(each, Loss)}

    def config(self) -> State:
        """Return the configuration, as plain data."""
        config: State = plain(
            {
                "version": __version__,
                "command": self.command,
                "preset": self.preset,
                "device": self.device,
                "data_dir": self.data_dir,
                "threads": self.threads,
                "seed": self.seed,
                "rope": self.rope,
                "methods": {name: entrant_config(each) for name, each in self.methods.items()},
                "settings": [setting.config() for setting in self.settings],
                "data": self._fingerprints,
                **objects_config((), self.objects()),
            }
        )
        return config

    def default_name(self) -> str:
        """Return the name of the run's folder where the user gives none."""
        tasks = dict.fromkeys(setting.task for setting in self.settings)
        return f"benchmark-{'-'.join(tasks)}"[:60]

    def jobs(self) -> list[CellJob]:
        """Return the cells: of each repetition first the handcrafted losses, then the methods."""
        return [
            self._job(setting, entry, self.seed + repetition)
            for setting in self.settings
            for repetition in range(setting.repetitions)
            for entry in (HANDCRAFTED_CELL, *self.methods)
        ]

    def _job(self, setting: Setting, entry: str, seed: int) -> CellJob:
        entrant = self.methods.get(entry)
        method = fitted(entrant, setting) if isinstance(entrant, Method) else entrant
        return CellJob(setting, entry, method, seed, self.adalfl, self.data_dir, self.device)

    def carry_out(self, run: Run, *, progress: Shown, executor: Executor) -> BenchmarkReport:
        """Carry out the cells that are left, then write tables and plots."""
        jobs = self.jobs()
        title = announce(f"benchmark of {len(self.methods)} methods, {len(jobs)} cells", run)
        with ProgressReporter(title, shown=progress, listener=run.write_progress) as reporter:
            cells = _Cells(run, jobs, reporter).carried_out(executor)
        result = self._result(cells, run.seconds)
        if run.path is not None:
            write_files(result, cells, run.path)
        run.write_result(result)
        return BenchmarkReport(run)

    def _result(self, cells: Sequence[State], seconds: float) -> State:
        entries = entries_of(cells)
        rival = next(entry for entry in entries if entry.name == RIVAL)
        best = next((e for e in entries if e.name not in REFERENCES), rival)
        summary, against = best.summary(), rival.summary()
        names = dict.fromkeys(setting.task for setting in self.settings)
        overall = over_settings(entries, self.rope, self.seed)
        result: State = {
            "method": self.command,
            "methods": list(self.methods),
            "task": ",".join(names),
            "model": ",".join(dict.fromkeys(setting.model for setting in self.settings)),
            "seed": self.seed,
            "metric": best.metric,
            **({"maximized": True} if best.maximized else {}),
            "valid": summary["valid"],
            "test": summary["test"],
            "loss": summary["losses"][0],
            "baseline": {"name": RIVAL} | {key: against[key] for key in ("valid", "test")},
            "settings": self._by_setting(entries),
            "against": {
                reference: [
                    each.summary()
                    for each in compare_with(entries, reference, self.rope, self.seed)
                ]
                for reference in AGAINST
            },
            "costs": costs_of(cells),
            "rope": self.rope,
            "evaluations": sum(cell["candidates"] for cell in cells),
            "seconds": round(seconds, 3),
            "preset": self.preset,
            "version": __version__,
        }
        return result | ({"overall": overall.summary()} if overall else {})

    def _by_setting(self, entries: Sequence[Entry]) -> list[State]:
        steps = {(setting.task, setting.model): setting.recipe.steps for setting in self.settings}
        return [
            {
                "task": task,
                "model": model,
                "metric": some[0].metric,
                **({"maximized": True} if some[0].maximized else {}),
                "steps": steps[task, model],
                "entries": [entry.summary() for entry in some],
            }
            for (task, model), some in (
                (key, list(group)) for key, group in groupby(entries, lambda entry: entry.setting)
            )
        ]


@final
class _Cells:
    """The cells of a benchmark, each in a folder of its own.

    Args:
        run: of the benchmark.
        jobs: of all cells.
        reporter: shows progress.
    """

    def __init__(self, run: Run, jobs: Sequence[CellJob], reporter: ProgressReporter):
        self._run, self._jobs, self._reporter = run, jobs, reporter
        run.restore()  # takes up the history and the time of an interrupted run

    def carried_out(self, executor: Executor) -> list[State]:
        """Return the results of all cells; those that are on disk are only read."""
        found = {job.key: self._saved(job) for job in self._jobs}
        left = [job for job in self._jobs if found[job.key] is None]
        self._reporter.part(len(self._jobs) - len(left), len(self._jobs))
        if isinstance(executor, Here):
            results = self._here(left)
        else:
            results = executor.map(carry_out_cell, left)
        for number_of, (job, result) in enumerate(zip(left, results, strict=True), 1):
            found[job.key] = self._keep(job, result)
            done = len(self._jobs) - len(left) + number_of
            told = ", ".join(
                f"{row['entry']} {number(row['test'])}" for row in result.content["rows"]
            )
            self._reporter.tell(f"{done}/{len(self._jobs)} {job.title}: {told}")
            self._reporter.part(done, len(self._jobs))
        complete = [found[job.key] for job in self._jobs]
        return [cell for cell in complete if cell is not None]

    def _here(self, jobs: Iterable[CellJob]) -> Iterator[CellResult]:
        """Carry out cells one after the other; a search goes on from its last checkpoint."""
        for job in jobs:
            yield carry_out(job, self._child(job), self._reporter.progress)

    def _saved(self, job: CellJob) -> State | None:
        return self._run.child_result(self._name(job), job.config())

    def _keep(self, job: CellJob, result: CellResult) -> State:
        """Write what came of a cell, in its folder."""
        child = self._child(job)
        if result.loss is not None:
            child.write_loss(result.loss)
        child.write_result(result.content)
        child.release()
        self._run.checkpoint({}, {"cell": job.key})
        return result.content

    def _child(self, job: CellJob) -> Run:
        return self._run.child(self._name(job), job.config())

    def _name(self, job: CellJob) -> str:
        return f"{CELLS}/{job.key}"


def _settings(
    task: str | Sequence[str],
    model: str | Sequence[str],
    suite: str | None,
    settings: Sequence[Setting],
    repetitions: int,
    budget: float,
    base: Setting | None,
    metric: str = "",
) -> tuple[Setting, ...]:
    """Return the settings that arguments ask for: of a suite, as given, or tasks by networks."""
    require_whole("repetitions", repetitions, 0)
    tasks = [task] if isinstance(task, str) else list(task)
    models = [model] if isinstance(model, str) else list(model)
    ways = sum(map(bool, (tasks, suite, settings)))
    require(ways <= 1, "give tasks, a suite or settings, and one of them only")
    if suite is not None:
        found = load_suite(suite).settings
    elif settings:
        found = tuple(settings)
        check_settings(found)
    else:
        found = settings_of(tasks, models, base)
    unknown = {option for setting in found for option in setting.search} - search_options()
    if unknown:
        raise unknown_name("search option", min(unknown), search_options())
    if repetitions:
        found = tuple(
            replace(s, repetitions=min(repetitions, s.repetitions) if suite else repetitions)
            for s in found
        )
    if metric:
        found = tuple(replace(setting, metric=metric) for setting in found)
    return tuple(setting.at_budget(budget) for setting in found)
