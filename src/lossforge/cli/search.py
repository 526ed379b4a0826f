"""`lossforge search`: from options to a run, a loss and a fair test."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

import tyro

from lossforge import __version__
from lossforge.cli.common import (
    absolute,
    conclude,
    free_folder,
    load_unchanged,
    pick_device,
    require_fields,
)
from lossforge.cli.narrator import Narrator
from lossforge.cli.parsing import parse_options, word_after
from lossforge.cli.report import print_report, result_of
from lossforge.errors import unknown_name
from lossforge.experiments.comparison import Comparison
from lossforge.losses import Loss, default_loss
from lossforge.methods import METHODS, Method, State, pose
from lossforge.runs import RunFolder, RunJournal, check_free
from lossforge.tasks import load
from lossforge.validation import require_in_range

MethodT = TypeVar("MethodT", bound=Method)

Preset = Literal["quick", "paper"]

FIELDS = {"method", "task", "model", "seed", "device", "settings", "comparison", "data"}
"""what a search's configuration must have"""

COMPARISONS = {"quick": Comparison(compare_steps=400), "paper": Comparison()}


@dataclass(frozen=True)
class SearchOptions(Generic[MethodT]):
    """Search for a loss on a task, then compare it with the usual one over fresh seeds."""

    method: tyro.conf.OmitArgPrefixes[MethodT]
    comparison: tyro.conf.OmitArgPrefixes[Comparison]
    task: str
    """what networks train on: a name from `lossforge list tasks`, or csv:PATH:TARGET"""
    model: str = "mlp"
    """which networks train: a name from `lossforge list models`, with options: mlp:width=100"""
    seed: int = 0
    """the same seed finds the same loss on the same machine"""
    preset: Preset = "quick"
    """minutes on two cores, or the published settings: sets the defaults of the options below"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """the run's folder; by default a new one under runs/"""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """discard the run that --out holds"""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """where data sets that come from files lie; by default LOSSFORGE_DATA"""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU if there is one"""


def search(words: list[str]) -> int:
    """Run `lossforge search METHOD ...`."""
    usage = f"lossforge search {{{','.join(METHODS)}}} --task TASK"
    if words[:1] in ([], ["-h"], ["--help"]):
        print(f"usage: {usage} ...\n\n`lossforge search METHOD --help` shows a method's options.")
        return 0
    name, *rest = words
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    options = _parse(METHODS[name], rest)
    require_in_range("seed", options.seed, 0)
    device = pick_device(options.device)
    if options.out is not None:
        check_free(options.out, overwrite=options.overwrite)
    task = load(options.task, device=device, data_dir=options.data_dir)
    pose(task, options.model)
    config: State = {
        "version": __version__,
        "command": "search",
        "method": name,
        "preset": options.preset,
        "task": options.task,
        "model": options.model,
        "seed": options.seed,
        "device": str(device),
        "data_dir": absolute(options.data_dir),
        "settings": options.method.settings(),
        "comparison": asdict(options.comparison),
        "data": task.fingerprint(),
    }
    out = options.out or free_folder(f"{name}-{task.name}-{options.seed}")
    folder = RunFolder.create(out, config, overwrite=options.overwrite)
    return conclude(folder, carry_out, print_report)


def _parse(method: type[MethodT], words: list[str]) -> SearchOptions[MethodT]:
    preset = word_after("--preset", words) or "quick"
    known = preset if preset in method.presets else "quick"
    default = SearchOptions(
        method=method.preset(known), comparison=COMPARISONS[known], task=tyro.MISSING
    )
    return parse_options(
        SearchOptions[method],  # type: ignore[valid-type]
        words,
        f"lossforge search {method.name}",
        default=default,
    )


def carry_out(folder: RunFolder) -> None:
    """Run the search that the folder's configuration asks for, from where it stands."""
    config = _checked(folder.config, folder.path)
    method = METHODS[config["method"]].from_settings(config["settings"])
    comparison = Comparison(**config["comparison"])
    task = load_unchanged(config, config["task"], config["data"], folder.path)
    seed, (problem,) = config["seed"], pose(task, config["model"])
    with Narrator(method, config, folder.path) as narrator:
        found = method.run(task, config["model"], seed, journal=RunJournal(folder, narrator))
        folder.write_loss(found.loss)
        usual = default_loss(task.kind)
        losses: dict[str, Loss] = {"learned": found.loss, str(usual): usual}
        scores = comparison(losses, problem, method, seed, progress=narrator.progress)
    folder.write_result(result_of(config, task, found, scores, folder.seconds))


def _checked(config: State, path: Path) -> State:
    """Return the configuration if it is whole."""
    require_fields(config, FIELDS, path)
    if config["method"] not in METHODS:
        raise unknown_name("method", str(config["method"]), METHODS)
    return config
