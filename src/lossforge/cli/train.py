"""`lossforge train`: one network, trained in full under any loss."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from lossforge import __version__
from lossforge.analysis.adaptation import draw_adaptation, trace_of
from lossforge.cli.common import (
    absolute,
    conclude,
    free_folder,
    load_unchanged,
    pick_device,
    require_fields,
)
from lossforge.cli.meter import Meter
from lossforge.cli.parsing import parse_options, word_after
from lossforge.errors import FileFormatError, RunError
from lossforge.files import write_json
from lossforge.losses import default_loss, load
from lossforge.losses.named import named
from lossforge.methods import AdaLFL, State
from lossforge.methods.adalfl import AdaptiveTraining
from lossforge.methods.lesson import Adapting, AdaptOn, Lesson
from lossforge.models import resolve
from lossforge.runs import RunFolder, check_free
from lossforge.tasks import Task
from lossforge.tasks import load as load_task
from lossforge.training.full import FullTraining, Outcome, Recipe
from lossforge.validation import require_in_range

FIELDS = {
    "loss",
    "task",
    "model",
    "seed",
    "device",
    "recipe",
    "adalfl",
    "adapt_on",
    "task_loss",
    "data",
}

PRESETS: dict[str, tuple[Recipe, AdaLFL]] = {
    "quick": (Recipe(steps=1000, check_every=100), AdaLFL(record_every=50)),
    "paper": (
        Recipe(),
        AdaLFL(
            warm_up_steps=2500,
            warm_up_scales=(),
            warm_up_horizons=(1,),
            average=True,
            record_every=500,
        ),
    ),
}


@dataclass(frozen=True)
class TrainOptions:
    """Train one network in full under any loss; validation data choose its weights; test once."""

    recipe: tyro.conf.OmitArgPrefixes[Recipe]
    adalfl: AdaLFL
    task: str
    """what the network learns: a name from `lossforge list tasks`, or csv:PATH:TARGET"""
    loss: str = ""
    """a name from `lossforge list losses`, a loss file, a run that found one, or adalfl; by default
    cross_entropy or mse"""
    model: str = "mlp"
    """the network: a name from `lossforge list models`, with options: mlp:width=100"""
    seed: int = 0
    """the same seed gives the same network on the same machine"""
    preset: Literal["quick", "paper"] = "quick"
    """minutes on two cores, or the published steps: sets the defaults of the options below"""
    adapt_on: AdaptOn = "valid"
    """rows that adalfl learns from: held-out ones, or training rows drawn anew"""
    task_loss: str = ""
    """what adalfl is to lower on them: a name from `lossforge list losses`; by default
    cross_entropy or mse"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """the run's folder; by default a new one under runs/"""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """discard the run that --out holds"""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """where data sets that come from files lie; by default LOSSFORGE_DATA"""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU if there is one"""


def train(words: list[str]) -> int:
    """Run `lossforge train ...`."""
    preset = word_after("--preset", words) or "quick"
    recipe, adalfl = PRESETS[preset if preset in PRESETS else "quick"]
    default = TrainOptions(recipe=recipe, adalfl=adalfl, task=tyro.MISSING)
    options = parse_options(TrainOptions, words, "lossforge train", default=default)
    require_in_range("seed", options.seed, 0)
    device = pick_device(options.device)
    if options.out is not None:
        check_free(options.out, overwrite=options.overwrite)
    task = load_task(options.task, device=device, data_dir=options.data_dir)
    loss = options.loss or str(default_loss(task.kind))
    lesson = Lesson(loss, options.recipe, options.adalfl, options.adapt_on, options.task_loss)
    lesson.check(task)
    resolve(options.model, task)
    config: State = {
        "version": __version__,
        "command": "train",
        "loss": loss,
        "preset": options.preset,
        "task": options.task,
        "model": options.model,
        "seed": options.seed,
        "device": str(device),
        "data_dir": absolute(options.data_dir),
        "recipe": asdict(options.recipe),
        "adalfl": asdict(options.adalfl),
        "adapt_on": options.adapt_on,
        "task_loss": options.task_loss,
        "data": task.fingerprint(),
    }
    out = options.out or free_folder(f"train-{Path(loss).name}-{task.name}-{options.seed}")
    folder = RunFolder.create(out, config, overwrite=options.overwrite)
    return conclude(folder, carry_out, print_result)


def carry_out(folder: RunFolder) -> None:
    """Train the network that the folder's configuration asks for, from where it stands."""
    config = folder.config
    require_fields(config, FIELDS, folder.path)
    task = load_unchanged(config, config["task"], config["data"], folder.path)
    lesson = lesson_of(config)
    title = f"{config['loss']} on {config['task']} with {config['model']}, seed {config['seed']}"
    saved = folder.restore_bytes()
    with Meter(f"{title}; the run is {folder.path}") as meter:

        def warmed(done: int, total: int) -> None:
            meter.progress("warming up", done, total)

        training = lesson.begin(task, config["model"], config["seed"], None if saved else warmed)
        if saved is not None:
            _restore(training, saved, folder.path)
        elif isinstance(training.teacher, Adapting):
            meter.tell(what_came_of_the_warm_up(training.teacher.adapt))

        def checkpoint() -> None:
            step, score = training.curve[-1]
            folder.checkpoint_bytes(training.state(), _entries(training))
            meter.tell(f"step {step}: {task.metric} {score:.4f} on validation data")

        outcome = training.run(checkpoint, meter.progress)
    if outcome.failure is not None:
        raise RunError(f"training broke off at step {outcome.step}: {outcome.failure}")
    if isinstance(training.teacher, Adapting):
        _keep_adaptation(folder, training.teacher.adapt, task)
    folder.write_result(_result(config, task, outcome, folder.seconds))


def what_came_of_the_warm_up(adapt: AdaptiveTraining) -> str:
    """Return in a line which loss a training begins with."""
    if adapt.horizon:
        return f"warmed up at a horizon of {adapt.horizon}: {adapt.loss}"
    if adapt.loss.architecture.residual:
        return f"begins as the usual loss, which no warm-up bettered: {adapt.loss}"
    return f"begins without a warm-up: {adapt.loss}"


def _keep_adaptation(folder: RunFolder, adapt: AdaptiveTraining, task: Task) -> None:
    """Write the last loss, and what it was over time as data and as a picture."""
    folder.write_loss(adapt.loss)
    trace = trace_of(adapt.moments, task.outputs)
    if trace:
        write_json(folder.path / "adaptation.json", {"moments": [asdict(look) for look in trace]})
        draw_adaptation(trace, task.kind, folder.path / "adaptation")


def lesson_of(config: State) -> Lesson:
    """Return the lesson that a run's configuration holds."""
    return Lesson(
        config["loss"],
        from_plain(Recipe, config["recipe"]),
        from_plain(AdaLFL, config["adalfl"]),
        config["adapt_on"],
        config["task_loss"],
    )


def from_plain(kind: Any, content: State) -> Any:
    """Return a dataclass from the plain data that a configuration holds of it."""
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})
    except TypeError:
        raise FileFormatError(
            f"the saved {kind.__name__} is not of this version; start anew"
        ) from None


def print_result(result: State, path: Path) -> None:
    """Print a training's result for a person."""
    Console(highlight=False).print(
        f"\n{result['loss']} on {result['task']} with {result['model']}: test {result['metric']} "
        f"[bold]{result['test']:.4f}[/] (validation {result['valid']:.4f} at step "
        f"{result['step']}) in {result['seconds']:.0f} s; the run is {path}",
        soft_wrap=True,
    )


def _restore(training: FullTraining, content: bytes, path: Path) -> None:
    try:
        training.restore(content)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise FileFormatError(
            f"{path}/checkpoint.pt is damaged ({str(error).splitlines()[0]}); delete it to start "
            "this run anew"
        ) from None


def _entries(training: FullTraining) -> list[State]:
    return [{"step": step, "valid": score} for step, score in training.curve]


def _result(config: State, task: Task, outcome: Outcome, seconds: float) -> State:
    usual = default_loss(task.kind)
    is_usual = config["loss"] == str(usual)
    return {
        "method": "train",
        "task": config["task"],
        "model": config["model"],
        "seed": config["seed"],
        "metric": task.metric,
        "valid": outcome.valid,
        "test": outcome.test,
        "step": outcome.step,
        "loss": _described(config["loss"]),
        "baseline": {
            "name": str(usual),
            "valid": outcome.valid if is_usual else None,
            "test": outcome.test if is_usual else None,
        },
        "curve": [list(look) for look in outcome.curve],
        "evaluations": 1,
        "seconds": round(seconds, 3),
        "preset": config["preset"],
        "version": config["version"],
    }


def _described(loss: str) -> str:
    if loss == AdaLFL.name:
        return loss
    return str(load(loss)) if Path(loss).exists() else str(named(loss))
