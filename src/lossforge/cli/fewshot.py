"""`lossforge fewshot`: learn to learn from a handful of examples."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from rich.console import Console

from lossforge import __version__
from lossforge.analysis.task_losses import draw_task_losses, task_losses
from lossforge.cli.common import absolute, conclude, free_folder, pick_device, require_fields
from lossforge.cli.meter import Meter
from lossforge.cli.parsing import parse_options, word_after
from lossforge.errors import ConfigurationError, FileFormatError, RunError, unknown_name
from lossforge.files import write_atomically
from lossforge.methods import State
from lossforge.methods.npbml import PRESETS, VARIANTS, FewShot, Learner, MetaCourse
from lossforge.methods.npbml.few_shot import make_learner
from lossforge.runs import RunFolder, check_free
from lossforge.tasks.episodes import FewShotTask, Shape
from lossforge.tasks.few_shot_sets import load_few_shot
from lossforge.validation import require_in_range

ABLATION = "ablation"
FIELDS = {"variants", "task", "shape", "seed", "device", "settings", "rotations"}


@dataclass(frozen=True)
class FewShotOptions:
    """Meta-learn from many small tasks, and test on tasks of classes that were never seen."""

    method: tyro.conf.OmitArgPrefixes[FewShot]
    task: str
    """where episodes come from: omniglot, mini_imagenet, tiered_imagenet, cifar_fs, fc100 (from
    files), images:DIR, or the synthetic clusters and sinusoids"""
    ways: int = 5
    """classes of an episode; 1 for sinusoids"""
    shots: int = 1
    """rows of each to adapt to"""
    queries: int = 15
    """rows of each to be judged by"""
    rotations: tyro.conf.FlagCreatePairsOff[bool] = False
    """count Omniglot's characters in four rotations as four classes"""
    variants: tuple[str, ...] = ()
    """of the ablation: which to compare; all by default"""
    seed: int = 0
    """the same seed gives the same result on the same machine"""
    preset: Literal["quick", "paper"] = "quick"
    """minutes to hours on two cores, or the published settings: sets the defaults of the others"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """the run's folder; by default a new one under runs/"""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """discard the run that --out holds"""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """where data sets that come from files lie; by default LOSSFORGE_DATA"""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU if there is one"""


def fewshot(words: list[str]) -> int:
    """Run `lossforge fewshot METHOD ...`."""
    known = (*VARIANTS, ABLATION)
    if words[:1] in ([], ["-h"], ["--help"]):
        print("usage: lossforge fewshot METHOD --task TASK --ways N --shots K ...\n\nmethods:")
        for name, (about, _) in VARIANTS.items():
            print(f"  {name:<20} {about}")
        print(f"  {ABLATION:<20} all of them, or those of --variants, in one table")
        print("\n`lossforge fewshot METHOD --help` shows the options.")
        return 0
    name, *rest = words
    if name not in known:
        raise unknown_name("few-shot method", name, known)
    options = _parse(name, rest)
    require_in_range("seed", options.seed, 0)
    device = pick_device(options.device)
    variants = (name,) if name != ABLATION else options.variants or tuple(VARIANTS)
    for variant in variants:
        replace(options.method, variant=variant)
    if options.out is not None:
        check_free(options.out, overwrite=options.overwrite)
    shape = Shape(options.ways, options.shots, options.queries)
    config: State = {
        "version": __version__,
        "command": "fewshot",
        "method": name,
        "variants": list(variants),
        "preset": options.preset,
        "task": options.task,
        "shape": [shape.ways, shape.shots, shape.queries],
        "rotations": options.rotations,
        "seed": options.seed,
        "device": str(device),
        "data_dir": absolute(options.data_dir),
        "settings": options.method.settings(),
    }
    task = _load(config)
    task.check(shape)
    for variant in variants:
        MetaCourse(replace(options.method, variant=variant), task, shape, options.seed)
    out = options.out or free_folder(f"fewshot-{name}-{options.task}-{options.seed}")
    folder = RunFolder.create(out, config, overwrite=options.overwrite)
    return conclude(folder, carry_out, print_result)


def _parse(name: str, words: list[str]) -> FewShotOptions:
    preset = word_after("--preset", words) or "quick"
    known = preset if preset in PRESETS else "quick"
    method = FewShot.preset(known, "npbml" if name == ABLATION else name)
    default = FewShotOptions(method=method, task=tyro.MISSING)
    return parse_options(FewShotOptions, words, f"lossforge fewshot {name}", default=default)


def _load(config: State) -> FewShotTask:
    task = load_few_shot(
        config["task"],
        data_dir=config["data_dir"],
        seed=config["seed"],
        rotations=config["rotations"],
    )
    return task.to(config["device"])


def carry_out(folder: RunFolder) -> None:
    """Meta-learn what the folder's configuration asks for, from where it stands."""
    config = folder.config
    require_fields(config, FIELDS, folder.path)
    task, shape = _load(config), Shape(*config["shape"])
    settings = FewShot(**config["settings"])
    rows: list[State] = []
    with Meter(f"few-shot learning on {config['task']}; the run is {folder.path}") as meter:
        for variant in config["variants"]:
            own = _own_folder(folder, variant, config)
            if own.result is None:
                _learn(own, replace(settings, variant=variant), task, shape, meter)
            assert own.result is not None
            rows.append(own.result)
    if len(rows) > 1:
        write_atomically(folder.path / "table.md", _table(rows, config))
        best = max(rows, key=lambda row: row["accuracy"] or -row["test"])
        folder.write_result(best | {"variants": rows, "seconds": round(folder.seconds, 3)})


def _own_folder(folder: RunFolder, variant: str, config: State) -> RunFolder:
    """Return the folder of one variant: the run's own, or one inside it for an ablation."""
    if len(config["variants"]) == 1:
        return folder
    path = folder.path / variant
    if (path / "config.json").exists():
        return RunFolder.open(path)
    return RunFolder.create(
        path, config | {"variants": [variant], "method": variant}, overwrite=False
    )


def _learn(
    folder: RunFolder, settings: FewShot, task: FewShotTask, shape: Shape, meter: Meter
) -> None:
    course = MetaCourse(settings, task, shape, folder.config["seed"])
    saved = folder.restore_bytes()
    if saved is not None:
        _restore(course, saved, folder.path)
    meter.tell(f"{settings.variant}: {sum(p.numel() for p in course.learner.parameters())} numbers")
    while not course.is_over:
        course.advance(meter.progress)
        history: list[State] = [{"step": step, "valid": score} for step, score in course.curve]
        folder.checkpoint_bytes(course.state(), history)
        step, score = course.curve[-1]
        meter.tell(
            f"{settings.variant}, meta-step {step}: {task.metric} {score:.2f} on valid tasks"
        )
    found = course.conclude(meter.progress)
    accuracy = found.score if found.metric == "accuracy" else None
    folder.write_result(
        {
            "method": settings.variant,
            "task": folder.config["task"],
            "model": settings.encoder_for(task),
            "seed": folder.config["seed"],
            "metric": found.metric,
            "valid": found.valid,
            "test": found.score,
            "accuracy": accuracy,
            "interval": found.interval,
            "loss": VARIANTS[settings.variant][0],
            "baseline": None,
            "shape": folder.config["shape"],
            "evaluations": settings.meta_steps,
            "seconds": round(folder.seconds, 3),
            "preset": folder.config["preset"],
            "version": folder.config["version"],
        }
    )
    torch.save(found.learner.state_dict(), folder.path / "learner.pt")


def _restore(course: MetaCourse, content: bytes, path: Path) -> None:
    try:
        course.restore(content)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise FileFormatError(
            f"{path}/checkpoint.pt is damaged or another network's "
            f"({str(error).splitlines()[0]}); delete it to start this run anew"
        ) from None


def _table(rows: list[State], config: State) -> str:
    ways, shots, _ = config["shape"]
    lines = [
        f"### {config['task']}, {ways}-way {shots}-shot, seed {config['seed']}",
        "",
        f"| method | {rows[0]['metric']} | 95 % interval | seconds | what is learned |",
        "|---|---:|---:|---:|---|",
    ]
    lines += [
        f"| {row['method']} | {row['test']:.2f} | ± {row['interval']:.2f} "
        f"| {row['seconds']:.0f} | {row['loss']} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def explain_run(path: Path, plots: Path | None) -> None:
    """Print, and draw, what the meta-learned loss of a run does in some meta-test tasks.

    Raises:
        RunError: the run has not ended.
        ConfigurationError: it learned no loss.
    """
    folder = RunFolder.open(path)
    config = folder.config
    require_fields(config, FIELDS, path)
    if folder.result is None or not (path / "learner.pt").exists():
        raise RunError(f"{path} has no learner yet; end it with lossforge resume {path}")
    task, shape = _load(config | {"device": "cpu"}), Shape(*config["shape"])
    settings = replace(FewShot(**config["settings"]), variant=config["variants"][0])
    learner = make_learner(settings, task, shape, 0)
    if not isinstance(learner, Learner):
        raise ConfigurationError(f"{settings.variant} learns no loss; explain npbml")
    learner.load_state_dict(torch.load(path / "learner.pt", "cpu", weights_only=True))
    found = task_losses(learner, task, shape, config["seed"])
    console = Console(highlight=False)
    console.print(f"{settings.variant} on {config['task']}: the inner loss of five meta-test tasks")
    for index, each in enumerate(found):
        console.print(
            f"  task {index + 1}: {each.slope_ratio:.3f} times as steep as the usual loss"
        )
    if plots is not None:
        draw_task_losses(found, task.kind, plots / "task_losses")
        console.print(f"plots: {plots / 'task_losses.png'}, and as SVG")


def print_result(result: State, path: Path) -> None:
    """Print what came of a run for a person."""
    console = Console(highlight=False)
    rows: list[Any] = result.get("variants") or [result]
    unit = " %" if result["metric"] == "accuracy" else ""
    for row in rows:
        console.print(
            f"{row['method']}: meta-test {row['metric']} [bold]{row['test']:.2f}{unit}[/] "
            f"± {row['interval']:.2f} in {row['seconds']:.0f} s",
            soft_wrap=True,
        )
    console.print(f"the run is {path}", soft_wrap=True)
