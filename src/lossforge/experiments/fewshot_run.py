"""Meta-learning from many small tasks, and an ablation of its methods."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch

from lossforge import __version__
from lossforge.analysis.task_losses import TaskLoss, task_losses
from lossforge.errors import (
    ConfigurationError,
    FileFormatError,
    RunError,
    one_line,
    unknown_name,
)
from lossforge.experiments.arguments import (
    Preset,
    Workers,
    as_execution,
    begun_from_python,
    check_preset,
    pick_device,
    require_fields,
    with_settings,
)
from lossforge.experiments.experiment import (
    Destination,
    Experiment,
    Out,
    Report,
    announce,
    perform,
)
from lossforge.experiments.repeating import DEFAULTS, repeat_command
from lossforge.experiments.tables import Table
from lossforge.experiments.watching import Progress as Watched
from lossforge.files import write_atomically
from lossforge.methods import State
from lossforge.methods.npbml import (
    VARIANTS,
    FewShot,
    FewShotLearner,
    Learner,
    MetaCourse,
    make_learner,
)
from lossforge.progress import ProgressReporter, Shown
from lossforge.runs import MemoryRun, Run, RunFolder
from lossforge.searching.executors import Executor, Here, Tally, check_threads
from lossforge.searching.executors import Report as Progress
from lossforge.tasks.episodes import EpisodeSpec, FewShotTask
from lossforge.tasks.few_shot_sets import load_few_shot
from lossforge.tensor_files import load_tensors
from lossforge.validation import require_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ABLATION = "ablation"

FIELDS = {"variants", "task", "shape", "seed", "device", "settings", "rotations"}
"""what a few-shot run's configuration must have"""


def fewshot(
    method: str | FewShot,
    task: str | FewShotTask,
    *,
    ways: int = 5,
    shots: int = 1,
    queries: int = 15,
    rotations: bool = False,
    variants: Sequence[str] = (),
    seed: int = 0,
    preset: Preset = "quick",
    out: Out = None,
    overwrite: bool = False,
    resume: bool = False,
    data_dir: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    workers: Workers = 1,
    progress: Watched = True,
    **settings: Any,
) -> "FewShotReport":
    """Meta-learn from many small tasks, and test on tasks of classes that were never seen.

    Does exactly what ``lossforge fewshot`` does.

    Args:
        method: npbml, maml or another that ``lossforge fewshot --help`` lists, "ablation" for
            several in one table, or a `FewShot` with its hyper-parameters.
        task: where episodes come from, such as "omniglot" or "clusters", or a `FewShotTask`.
        ways: classes of an episode; 1 for regression.
        shots: labeled examples of each class.
        queries: examples of each class to test on.
        rotations: count Omniglot's characters in four rotations as four classes.
        variants: methods of the ablation; by default all.
        seed: the same seed gives the same result on the same machine.
        preset: minutes to hours on two cores, or the published settings.
        out: the run's folder; by default nothing is written.
        overwrite: discard the run that `out` holds.
        resume: continue the run that `out` holds.
        data_dir: where data sets that come from files are; by default LOSSFORGE_DATA.
        device: cpu, cuda, or auto: a GPU if there is one.
        threads: of PyTorch in each process; another number changes the last bits of results. By
            default one for an ablation, and for a single method as many as PyTorch takes.
        workers: how many processes learn methods of an ablation side by side, "auto" for one per
            core where there is enough work, or an `Execution`; no result depends on it.
        progress: show progress on standard error.
        **settings: fields of `FewShot` that differ from the preset's, such as ``meta_steps=100``.

    Returns:
        The report, with accuracy and its 95 % interval, and the learner.

    Raises:
        LossforgeError: an argument is wrong.

    Examples:
        >>> tiny = {"meta_steps": 2, "pretrain_steps": 2, "valid_tasks": 2, "test_tasks": 4}
        >>> report = fewshot("maml", "clusters", ways=3, progress=False, width=5, **tiny)
        >>> 0 <= report.result["accuracy"] <= 100
        True
    """
    destination = Destination(out, overwrite, resume, progress, as_execution(workers))
    require_whole("seed", seed, 0)
    name, base = _as_few_shot(method, preset)
    chosen = (name,) if name != ABLATION else tuple(variants) or tuple(VARIANTS)
    place = pick_device(device)
    if threads is None:
        threads = 1 if len(chosen) > 1 else torch.get_num_threads()
    check_threads(threads)
    given: tuple[str, ...] = ()
    if isinstance(task, str):
        found = load_few_shot(task, data_dir=data_dir, seed=seed, rotations=rotations)
    elif isinstance(task, FewShotTask):
        found, given = task, ("task",)
    else:
        raise ConfigurationError(
            f'the task is a {type(task).__name__}; give a name, such as "omniglot" or '
            '"clusters", or a FewShotTask'
        )
    for what, value in (("ways", ways), ("shots", shots), ("queries", queries)):
        require_whole(what, value, 1)
    experiment = FewShotExperiment(
        method=name,
        variants=chosen,
        settings=with_settings(base, settings, "fewshot"),
        task=found.to(place),
        task_name=found.name if given else str(task),
        shape=EpisodeSpec(ways, shots, queries),
        rotations=rotations,
        seed=seed,
        preset=preset,
        device=str(place),
        data_dir=None if data_dir is None else str(Path(data_dir).resolve()),
        given=given,
        threads=threads,
    )
    experiment.check()
    return perform(experiment, FewShotReport, destination)


@final
@dataclass(frozen=True)
class FewShotExperiment(Experiment["FewShotReport"]):
    """A meta-learning, or an ablation of several, that can be resumed; see `fewshot`."""

    command: ClassVar[str] = "fewshot"

    method: str
    variants: tuple[str, ...]
    settings: FewShot
    task: FewShotTask
    task_name: str
    shape: EpisodeSpec
    rotations: bool
    seed: int
    preset: str
    device: str
    data_dir: str | None
    given: tuple[str, ...] = ()
    threads: int | None = None

    @classmethod
    def restored(cls, folder: RunFolder, device: str | None = None) -> "FewShotExperiment":
        """Return what a run was begun with.

        Args:
            folder: of the run.
            device: where to go on; by default where it was begun.
        """
        config = folder.config
        require_fields(config, FIELDS, folder.path)
        if "task" in config.get("given", ()):
            raise begun_from_python(folder.path, f"task {config['task']!r}")
        place = str(pick_device(device or config["device"]))
        task = load_few_shot(
            config["task"],
            data_dir=config["data_dir"],
            seed=config["seed"],
            rotations=config["rotations"],
        )
        return cls(
            method=config["method"],
            variants=tuple(config["variants"]),
            settings=FewShot(**config["settings"]),
            task=task.to(place),
            task_name=config["task"],
            shape=EpisodeSpec(*config["shape"]),
            rotations=config["rotations"],
            seed=config["seed"],
            preset=config["preset"],
            device=place,
            data_dir=config["data_dir"],
            threads=config.get("threads"),
        )

    def of_variant(self, variant: str) -> FewShot:
        """Return the hyper-parameters of a variant."""
        return replace(self.settings, variant=variant)

    def check(self) -> None:
        """Raise `LossforgeError` where a variant does not fit the task."""
        self.task.check(self.shape)
        for variant in self.variants:
            MetaCourse(self.of_variant(variant), self.task, self.shape, self.seed)

    def config(self) -> State:
        """Return the configuration, as plain data."""
        return {
            "version": __version__,
            "command": self.command,
            "method": self.method,
            "variants": list(self.variants),
            "preset": self.preset,
            "task": self.task_name,
            "shape": [self.shape.ways, self.shape.shots, self.shape.queries],
            "rotations": self.rotations,
            "seed": self.seed,
            "device": self.device,
            "threads": self.threads,
            "data_dir": self.data_dir,
            "settings": self.settings.settings(),
            "data": self.task.fingerprint(),
            **({"given": list(self.given)} if self.given else {}),
        }

    def default_name(self) -> str:
        """Return the name of the run's folder where the user gives none."""
        return f"fewshot-{self.method}-{self.task_name}-{self.seed}"

    def carry_out(self, run: Run, *, progress: Shown, executor: Executor) -> "FewShotReport":
        """Meta-learn what is left."""
        rows, learners = list[State](), dict[str, FewShotLearner]()
        title = announce(f"few-shot learning on {self.task_name}", run)
        with ProgressReporter(title, shown=progress, listener=run.write_progress) as reporter:
            if len(self.variants) == 1:
                runs = [run]
            else:
                runs = [self._child(run, variant) for variant in self.variants]
            left = [pair for pair in zip(self.variants, runs, strict=True) if not pair[1].result]
            if len(left) > 1 and not isinstance(executor, Here):
                learners |= self._learn_side_by_side(left, executor, reporter)
            else:
                for variant, own in left:
                    learners[variant] = self.learn(own, variant, reporter.tell, reporter.progress)
            rows += map(_complete, runs)
        if len(rows) > 1:
            best = max(rows, key=lambda row: row["accuracy"] or -row["test"])
            result = best | {"variants": rows, "seconds": round(run.seconds, 3)}
            if run.path is not None:
                write_atomically(run.path / "table.md", few_shot_table(result).markdown())
            run.write_result(result)
        return FewShotReport(run, learners)

    def _child(self, run: Run, variant: str) -> Run:
        """Return the run of one variant of an ablation, inside the ablation's."""
        return run.child(variant, run.config | {"variants": [variant], "method": variant})

    def _learn_side_by_side(
        self, left: Sequence[tuple[str, Run]], executor: Executor, reporter: ProgressReporter
    ) -> dict[str, FewShotLearner]:
        """Learn several methods, each in a worker, and return the learners."""
        jobs = [(variant, own.path, own.config) for variant, own in left]
        tally = Tally(reporter.progress, "meta-learning", len(jobs), executor.workers)
        learners = {}
        found = executor.map(LearnVariant(self), jobs, tally)
        for (variant, own), (learner, result) in zip(left, found, strict=True):
            if own.path is None:
                own.write_learner(learner)
                own.write_result(result)
            reporter.tell(f"{variant}: {self.task.metric} {result['test']:.2f}")
            learners[variant] = self.load_learner(variant, learner)
        return learners

    def load_learner(self, variant: str, content: bytes) -> FewShotLearner:
        """Return a learner with the weights that a run holds."""
        learner = make_learner(self.of_variant(variant), self.task, self.shape, 0)
        learner.load_state_dict(load_tensors(content, self.device))
        return learner.to(self.device)

    def learn(
        self, run: Run, variant: str, tell: Callable[[str], None], progress: Progress
    ) -> FewShotLearner:
        """Meta-learn one method, from where its run stands, and complete the run.

        Args:
            run: of this method alone.
            variant: the method.
            tell: receives lines for people.
            progress: receives a stage's name, the steps done and their total.
        """
        settings = self.of_variant(variant)
        course = MetaCourse(settings, self.task, self.shape, self.seed)
        saved, name, metric = run.restore_bytes(), settings.variant, self.task.metric
        if saved is not None:
            _restore(course, saved, run.path)
        parameters = sum(p.numel() for p in course.learner.parameters())
        tell(f"{name}: {parameters} meta-learned parameters")
        while not course.is_over:
            course.advance(progress)
            evaluations = zip(course.curve, course.times, strict=True)
            history: list[State] = [
                {"step": step, "valid": score, "seconds": round(time, 3)}
                for (step, score), time in evaluations
            ]
            run.checkpoint_bytes(course.state(), history)
            step, score = course.curve[-1]
            tell(f"{name}, meta-step {step}: {metric} {score:.2f} on validation tasks")
        found = course.conclude(progress)
        # Before the results, whose presence says that nothing is left to do.
        content = io.BytesIO()
        torch.save(found.learner.state_dict(), content)
        run.write_learner(content.getvalue())
        run.write_result(
            {
                "method": name,
                "task": self.task_name,
                "model": settings.encoder_for(self.task),
                "seed": self.seed,
                "metric": found.metric,
                "valid": found.valid,
                "test": found.score,
                "accuracy": found.score if found.metric == "accuracy" else None,
                "interval": found.interval,
                "loss": VARIANTS[name][0],
                "baseline": None,
                "shape": [self.shape.ways, self.shape.shots, self.shape.queries],
                "evaluations": settings.meta_steps,
                "meta_step": {"seconds": round(found.step_seconds, 4)},
                "curve": [[step, score, round(time, 3)] for step, score, time in found.curve],
                "seconds": round(run.seconds, 3),
                "preset": self.preset,
                "version": __version__,
            }
        )
        return found.learner


@final
@dataclass(frozen=True)
class LearnVariant:
    """Learns methods of an ablation, in any process.

    Where the ablation has a folder, a worker writes its method's checkpoints there, so that a
    method that was interrupted continues; on a cluster all nodes must see the folder.

    Attributes:
        experiment: the ablation.
    """

    experiment: FewShotExperiment

    def __call__(
        self, job: tuple[str, Path | None, State], report: Progress
    ) -> tuple[bytes, State]:
        """Return the weights of a method's learner, and its result.

        Args:
            job: the method, the folder of its run, and the run's configuration.
            report: receives progress.
        """
        variant, path, config = job
        run = MemoryRun(config) if path is None else RunFolder.open(path)
        if run.result is None:
            self.experiment.learn(run, variant, lambda line: None, report)
        assert run.learner is not None
        return run.learner, _complete(run)


@final
class FewShotReport(Report):
    """The results of a meta-learning or of an ablation.

    Attributes:
        run: on disk or in memory.
        result: what ``result.json`` holds.
        learners: by method, those that were learned in this process.
    """

    def __init__(self, run: Run, learners: dict[str, FewShotLearner] | None = None):
        super().__init__(run)
        self.learners = learners or {}

    def learner(self, method: str | None = None) -> FewShotLearner:
        """Return what a method meta-learned, from this process or from the run's folder.

        Args:
            method: by name; by default the best one.

        Raises:
            UnknownNameError: the run has no such method.
            RunError: the folder has lost the learner, or the task was an object of Python, which
                no file holds: take the learner from `learners` while the process lives.
        """
        known = self.run.config["variants"]
        name = method or self.result["method"]
        if name not in known:
            raise unknown_name("method of this run", name, known)
        if name in self.learners:
            return self.learners[name]
        assert self.path is not None  # a run in memory has all its learners
        folder = RunFolder.open(self.path if len(known) == 1 else self.path / name)
        return _learner_of(folder, FewShotExperiment.restored(folder, "cpu"))

    def tables(self) -> list[Table]:
        """Return the accuracy of each method."""
        return [few_shot_table(self.result)]

    def _command(self, config: State) -> str:
        method, preset = config["method"], config["preset"]
        ways, shots, queries = config["shape"]
        defaults = FewShot.preset(preset, "npbml" if method == ABLATION else method).settings()
        settings = {k: v for k, v in config["settings"].items() if k != "variant"}
        options = {"task": config["task"], "ways": ways, "shots": shots, "queries": queries}
        options |= {"seed": config["seed"], "preset": preset, "rotations": config["rotations"]}
        options |= {"variants": config["variants"]} if method == ABLATION else {}
        shared = {"ways": 5, "shots": 1, "queries": 15, "rotations": False, "variants": [*VARIANTS]}
        return repeat_command(["fewshot", method], options | settings, defaults | DEFAULTS | shared)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each method."""
        columns = ("method", "metric", "valid", "test", "interval", "seconds")
        return [{key: row[key] for key in columns} for row in _rows(self.result)]

    def plot(self) -> "Figure":
        """Return the metric of each method, on meta-test tasks and by seconds of learning.

        Meta-test tasks come with the 95 % interval. Seconds are without evaluations; runs of
        before they were written have the first panel alone.
        """
        from lossforge.experiments.plots import draw_intervals, draw_times, figure_with

        rows = _rows(self.result)
        curves = {row["method"]: row["curve"] for row in rows if "curve" in row}
        figure, (axes, *others) = figure_with(2 if curves else 1)
        names, means = [row["method"] for row in rows], [row["test"] for row in rows]
        intervals = [row["interval"] for row in rows]
        draw_intervals(axes, names, means, intervals, self.result["metric"])
        for other in others:
            draw_times(other, curves, self.result["metric"])
        return figure

    def __repr__(self) -> str:
        told = ", ".join(
            f"{row['method']} {row['test']:.2f} ± {row['interval']:.2f}"
            for row in _rows(self.result)
        )
        return f"FewShotReport({self.result['task']}: {self.result['metric']} {told})"


def few_shot_table(result: State) -> Table:
    """Return the table of a few-shot result."""
    ways, shots, _ = result["shape"]
    title = f"{result['task']}, {ways}-way {shots}-shot, seed {result['seed']}"
    rows = tuple(
        (
            row["method"],
            row["loss"],
            f"{row['test']:.2f}",
            f"± {row['interval']:.2f}",
            f"{row['seconds']:.0f}",
            f"{row['meta_step']['seconds']:.3f}",
        )
        for row in _rows(result)
    )
    columns = (
        "method",
        "what is learned",
        result["metric"],
        "95 % interval",
        "seconds",
        "s a meta-step",
    )
    return Table(title, columns, rows, text_columns=2)


def explain_few_shot(path: Path) -> tuple[FewShotExperiment, list[TaskLoss]]:
    """Return what a run learned, and its inner loss in some meta-test tasks.

    Args:
        path: of the run.

    Raises:
        RunError: the run is not complete.
        ConfigurationError: it learned no loss.
    """
    folder = RunFolder.open(path)
    folder.verify()
    require_fields(folder.config, FIELDS, path)
    if folder.result is None:
        raise RunError(f"{path} is not complete; continue it with lossforge resume {path}")
    if len(folder.config["variants"]) > 1:
        inside = f"{path}/{folder.config['variants'][0]}"
        raise ConfigurationError(f"{path} is an ablation; explain one of its runs: {inside}")
    experiment = FewShotExperiment.restored(folder, "cpu")
    (variant,) = experiment.variants
    learner = _learner_of(folder, experiment)
    if not isinstance(learner, Learner):
        raise ConfigurationError(f"{variant} learns no loss; explain npbml")
    return experiment, task_losses(learner, experiment.task, experiment.shape, experiment.seed)


def _learner_of(folder: RunFolder, experiment: FewShotExperiment) -> FewShotLearner:
    """Return the learner of a complete run of one method."""
    if folder.learner is None:
        raise RunError(f"{folder.path} has lost its learner.pt; restore it or repeat the run")
    (variant,) = experiment.variants
    try:
        return experiment.load_learner(variant, folder.learner)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise FileFormatError(
            f"{folder.path}/learner.pt is damaged ({one_line(error)[:200]}); repeat the run"
        ) from None


def _as_few_shot(method: str | FewShot, preset: Preset) -> tuple[str, FewShot]:
    check_preset(preset)
    if isinstance(method, FewShot):
        return method.variant, method
    if not isinstance(method, str):
        raise ConfigurationError(
            f'the method must be a name, such as "npbml", or a FewShot, not {method!r}'
        )
    known = (*VARIANTS, ABLATION)
    if method not in known:
        raise unknown_name("few-shot method", method, known)
    return method, FewShot.preset(preset, "npbml" if method == ABLATION else method)


def _complete(run: Run) -> State:
    if run.result is None:
        raise RunError(f"{run.path} is not complete")
    return run.result


def _rows(result: State) -> list[State]:
    rows: list[State] = result.get("variants") or [result]
    return rows


def _restore(course: MetaCourse, content: bytes, path: Path | None) -> None:
    try:
        course.restore(content)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise FileFormatError(
            f"{path}/checkpoint.pt is damaged or another network's "
            f"({one_line(error)[:200]}); delete it to start this run anew"
        ) from None
