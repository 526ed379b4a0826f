"""Full training of one network under any loss."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from lossforge import __version__
from lossforge.analysis.adaptation import draw_adaptation, trace_of
from lossforge.errors import FileFormatError, RunError, one_line
from lossforge.experiments.arguments import (
    GivenLoss,
    GivenTask,
    LossLike,
    Preset,
    as_loss,
    as_task,
    begun_from_python,
    check_preset,
    from_plain,
    given_objects,
    load_unchanged,
    losses_config,
    model_name,
    objects_config,
    require_fields,
    saved_losses,
)
from lossforge.experiments.experiment import (
    Destination,
    Experiment,
    Out,
    announce,
    perform,
)
from lossforge.experiments.measured import metric_facts
from lossforge.experiments.train_report import TrainingReport
from lossforge.experiments.train_settings import as_adalfl, as_recipe, check_adapt_on
from lossforge.experiments.trained_model import about_model
from lossforge.experiments.units import original_units
from lossforge.experiments.watching import Progress as Watched
from lossforge.extras import has_extra
from lossforge.files import plain, write_json
from lossforge.losses import Loss, NeuralLoss, ParametricLoss, default_loss
from lossforge.losses.resolve import METRIC
from lossforge.methods import AdaLFL, State
from lossforge.methods.adalfl import AdaptiveTraining
from lossforge.methods.adapting_rates import AdaptingRates
from lossforge.methods.adaptive import numbers_over_time
from lossforge.methods.training_config import Adapting, AdaptOn, TrainingConfig
from lossforge.models import Model
from lossforge.progress import ProgressReporter, Shown, stage_of
from lossforge.runs import Run, RunFolder
from lossforge.searching.executors import Executor
from lossforge.tasks import TaskLike
from lossforge.tasks.kinds import Kind
from lossforge.tasks.metrics import Metric, MetricLike
from lossforge.training.full import FullTraining, Outcome, Recipe
from lossforge.validation import require_whole

if TYPE_CHECKING:
    pass

FIELDS = {
    *("loss", "task", "model", "seed", "device", "recipe", "adalfl", "adapt_on", "task_loss"),
    "data",
}
"""what a training's configuration must have"""


def train(
    task: TaskLike,
    loss: LossLike | None = None,
    model: Model = "mlp",
    *,
    metric: MetricLike | None = None,
    seed: int = 0,
    preset: Preset = "quick",
    recipe: Recipe | None = None,
    adalfl: AdaLFL | None = None,
    adapt_on: AdaptOn = "valid",
    task_loss: LossLike | None = None,
    out: Out = None,
    overwrite: bool = False,
    resume: bool = False,
    data_dir: str | Path | None = None,
    device: str = "auto",
    progress: Watched = True,
    **settings: Any,
) -> TrainingReport:
    """Train one network in full under any loss; validation data choose its weights; test once.

    Does exactly what ``lossforge train`` does.

    Args:
        task: a name from ``lossforge list tasks``, or a `lossforge.tasks.Task`.
        loss: a name with options, the path of a loss or of the run that found it, a loss, or
            "adalfl"; by default the default loss of the task's kind.
        model: a name with options, or a function without arguments that returns a fresh network.
        metric: what performance is measured by and the best weights are chosen by: a name, such as
            "f1" or "auroc", a function with its direction (`lossforge.OwnMetric`), or a metric of
            ``torchmetrics``; by default what the task is measured by.
        seed: the same seed gives the same network on the same machine.
        preset: minutes on two cores, or the published steps.
        recipe: how the network is trained; by default the preset's.
        adalfl: settings of the adaptive loss; by default the preset's.
        adapt_on: rows that the adaptive loss learns from: "valid" or "train".
        task_loss: the loss that the adaptive loss is to lower on those rows, or "metric" for the
            smooth form of the metric; by default the default loss, and calibrated
            cross-entropy for "adaptive:FORM" in classification.
        out: the run's folder; by default nothing is written.
        overwrite: discard the run that `out` holds.
        resume: continue the run that `out` holds.
        data_dir: where data sets that come from files are; by default LOSSFORGE_DATA.
        device: cpu, cuda, or auto: a GPU if there is one.
        progress: show progress on standard error.
        **settings: fields of `Recipe` that differ from the preset's, such as ``steps=500``.

    Returns:
        The report, with the trained network and its test metric.

    Raises:
        LossforgeError: an argument is wrong, or training diverged.

    Examples:
        >>> report = train("iris", "focal:gamma=1", "linear", steps=20, progress=False)
        >>> report.result["step"], report.result["loss"]
        (20, 'focal:gamma=1')
    """
    destination = Destination(out, overwrite, resume, progress)
    require_whole("seed", seed, 0)
    check_preset(preset)
    given = as_task(task, device, data_dir, metric)
    kind = given.task.kind
    experiment = TrainExperiment(
        task=given,
        loss=as_loss(str(default_loss(kind)) if loss is None else loss, kind),
        model=model,
        model_name=model_name(model, given.task),
        seed=seed,
        preset=preset,
        recipe=as_recipe(recipe, preset, settings, "train", given.name),
        adalfl=as_adalfl(adalfl, preset),
        adapt_on=check_adapt_on(adapt_on),
        task_loss=_as_goal(task_loss, kind),
        given=given_objects(task, model),
    )
    experiment.training_config().check(given.task)
    return perform(experiment, TrainingReport, destination)


def _as_goal(task_loss: LossLike | None, kind: Kind) -> GivenLoss:
    """Return what an adaptive loss lowers: a loss, "metric", or an empty name for the default."""
    if task_loss is None or task_loss == METRIC:
        return GivenLoss(task_loss or "")
    return as_loss(task_loss, kind)


@final
@dataclass(frozen=True)
class TrainExperiment(Experiment[TrainingReport]):
    """A training that can be resumed; see `train` for the fields."""

    command: ClassVar[str] = "train"

    task: GivenTask
    loss: GivenLoss
    model: Model
    model_name: str
    seed: int
    preset: str
    recipe: Recipe
    adalfl: AdaLFL
    adapt_on: AdaptOn
    task_loss: GivenLoss
    given: tuple[str, ...] = field(default=())

    @classmethod
    def restored(cls, folder: RunFolder) -> "TrainExperiment":
        """Return the training that a run was begun with."""
        config = folder.config
        require_fields(config, FIELDS, folder.path)
        if "model" in config.get("given", ()):
            raise begun_from_python(folder.path, f"network {config['model']}")
        saved = saved_losses(config, folder.path)
        return cls(
            task=load_unchanged(config, config["task"], config["data"], folder.path),
            loss=GivenLoss(config["loss"], saved.get(config["loss"])),
            model=config["model"],
            model_name=config["model"],
            seed=config["seed"],
            preset=config["preset"],
            recipe=from_plain(Recipe, config["recipe"]),
            adalfl=from_plain(AdaLFL, config["adalfl"]),
            adapt_on=config["adapt_on"],
            task_loss=GivenLoss(config["task_loss"], saved.get(config["task_loss"])),
        )

    def training_config(self) -> TrainingConfig:
        """Return how the network is trained."""
        return TrainingConfig(
            self.loss.source, self.recipe, self.adalfl, self.adapt_on, self.task_loss.source
        )

    def objects(self) -> dict[str, Loss]:
        """Return the losses that were given as objects, by name."""
        both = (self.loss, self.task_loss)
        return {each.name: each.loss for each in both if each.loss is not None}

    def config(self) -> State:
        """Return the configuration, as plain data."""
        config: State = plain(
            {
                "version": __version__,
                "command": self.command,
                "loss": self.loss.name,
                "preset": self.preset,
                "task": self.task.name,
                "model": self.model_name,
                "seed": self.seed,
                **self.task.config(),
                "recipe": asdict(self.recipe),
                "adalfl": asdict(self.adalfl),
                "adapt_on": self.adapt_on,
                "task_loss": self.task_loss.name,
                "data": self.task.task.fingerprint(),
                **losses_config((self.loss, self.task_loss)),
                **objects_config(self.given, self.objects()),
            }
        )
        return config

    def default_name(self) -> str:
        """Return the name of the run's folder where the user gives none."""
        return f"train-{Path(self.loss.name).name[:40]}-{self.task.task.name}-{self.seed}"

    def carry_out(self, run: Run, *, progress: Shown, executor: Executor) -> TrainingReport:
        """Train the network, from where the run stands."""
        title = f"{self.loss.name} on {self.task.name} with {self.model_name}, seed {self.seed}"
        task, saved = self.task.task, run.restore_bytes()
        with ProgressReporter(
            announce(title, run), shown=progress, listener=run.write_progress
        ) as reporter:
            warmed = None if saved else stage_of(reporter, "warming up")
            training = self.training_config().begin(task, self.model, self.seed, warmed)
            if saved is not None:
                _restore(training, saved, run.path)
            elif isinstance(training.objective, Adapting):
                reporter.tell(describe_warm_up(training.objective.adapt))

            def checkpoint() -> None:
                step, score = training.curve[-1]
                run.checkpoint_bytes(training.state(), _history(training, task.measure))
                shown = task.measure.shown(score)
                reporter.tell(f"step {step}: {task.metric} {shown:.4f} on validation data")

            outcome = training.run(checkpoint, reporter.progress)
        if outcome.failure is not None:
            raise RunError(f"training broke off at step {outcome.step}: {outcome.failure}")
        if isinstance(training.objective, Adapting):
            self._write_adaptation(run, training.objective.adapt)
        elif isinstance(training.objective, AdaptingRates) and run.path is not None:
            moments = [{"step": s, "numbers": found} for s, found in training.objective.moments]
            write_json(run.path / "adaptation.json", {"moments": moments})
        run.write_model(training.model.state_dict(), about_model(self.model_name, task))
        run.write_result(
            self._result(outcome.shown(task.measure), run.seconds) | _learned(training)
        )
        return TrainingReport(run, training.model)

    def _write_adaptation(self, run: Run, adapt: AdaptiveTraining) -> None:
        """Write the last loss, and what it was over time as data and as a plot."""
        run.write_loss(adapt.loss)
        task = self.task.task
        if isinstance(adapt.loss, ParametricLoss):
            if run.path is not None:
                moments = numbers_over_time(adapt.moments)
                write_json(run.path / "adaptation.json", {"moments": moments})
            return
        trace = trace_of(adapt.moments, task.kind.row_size(task.outputs))
        if trace and run.path is not None:
            write_json(
                run.path / "adaptation.json", {"moments": [asdict(curves) for curves in trace]}
            )
            if has_extra("plots"):
                draw_adaptation(trace, task.kind, run.path / "adaptation")

    def _result(self, outcome: Outcome, seconds: float) -> State:
        default = str(default_loss(self.task.task.kind))
        is_default = self.loss.name == default
        return {
            "method": self.command,
            "task": self.task.name,
            "model": self.model_name,
            "seed": self.seed,
            "kind": self.task.task.kind.name,
            "outputs": self.task.task.outputs,
            **metric_facts(self.task.task.measure),
            "valid": outcome.valid,
            "test": outcome.test,
            **original_units(self.task.task, outcome.valid, outcome.test),
            "step": outcome.step,
            "loss": self.loss.text,
            "baseline": {
                "name": default,
                "valid": outcome.valid if is_default else None,
                "test": outcome.test if is_default else None,
            },
            "curve": [list(check) for check in outcome.curve],
            "evaluations": 1,
            "seconds": round(seconds, 3),
            "preset": self.preset,
            "version": __version__,
        }


def describe_warm_up(adapt: AdaptiveTraining) -> str:
    """Return in a line which loss a training begins with."""
    if not isinstance(adapt.loss, NeuralLoss):
        return f"begins as {adapt.loss}"
    if adapt.horizon:
        return f"warmed up at a horizon of {adapt.horizon}: {adapt.loss}"
    if adapt.loss.architecture.residual:
        if adapt.loss.architecture.form:
            return f"begins as what did best in short trainings: {adapt.loss}"
        return f"begins as the default loss, which no warm-up bettered: {adapt.loss}"
    return f"begins without a warm-up: {adapt.loss}"


def _learned(training: FullTraining) -> State:
    """Return the numbers that an adaptive loss ended with, where it has few."""
    objective = training.objective
    if isinstance(objective, AdaptingRates):
        return {"learned": objective.numbers()}
    if isinstance(objective, Adapting):
        loss = objective.adapt.loss
        if isinstance(loss, ParametricLoss | NeuralLoss) and (numbers := loss.numbers()):
            return {"learned": numbers}
    return {}


def _restore(training: FullTraining, content: bytes, path: Path | None) -> None:
    try:
        training.restore(content)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise FileFormatError(
            f"{path}/checkpoint.pt is damaged ({one_line(error)[:200]}); delete it to start "
            "this run anew"
        ) from None


def _history(training: FullTraining, metric: Metric) -> list[State]:
    return [{"step": step, "valid": metric.shown(cost)} for step, cost in training.curve]
