"""`lossforge search`: from options to a run, a loss and a fair test."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro

from lossforge import __version__
from lossforge.analysis.comparison import Comparison
from lossforge.cli.common import (
    absolute,
    conclude,
    free_folder,
    load_unchanged,
    pick_device,
    require_fields,
)
from lossforge.cli.method_options import from_options, options_class, to_options
from lossforge.cli.narrator import Narrator
from lossforge.cli.parsing import parse_options, word_after
from lossforge.cli.report import print_report, result_of
from lossforge.errors import unknown_name
from lossforge.losses import Loss, default_loss
from lossforge.methods import METHODS
from lossforge.runs import RunFolder, RunJournal, check_free
from lossforge.searching import Method, State, make_problems
from lossforge.tasks import load
from lossforge.validation import require_in_range

OptionsT = TypeVar("OptionsT")

Preset = Literal["quick", "paper"]

FIELDS = {"method", "task", "model", "seed", "device", "settings", "comparison", "data"}
"""what a search's configuration must have"""

COMPARISONS = {"quick": Comparison(compare_steps=400), "paper": Comparison()}


@dataclass(frozen=True)
class SearchOptions(Generic[OptionsT]):
    """Search for a loss on a task, then compare it with the default loss over new seeds."""

    method: tyro.conf.OmitArgPrefixes[OptionsT]
    comparison: tyro.conf.OmitArgPrefixes[Comparison]
    task: str
    """task to train networks on: a name from `lossforge list tasks`, or csv:PATH:TARGET"""
    model: str = "mlp"
    """network to train: a name from `lossforge list models`, with options: mlp:width=100"""
    seed: int = 0
    """seed of all randomness; the same seed finds the same loss on the same machine"""
    preset: Preset = "quick"
    """defaults of the options below: quick takes minutes on two cores, paper is as published"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder to write the run to; by default a new one under runs/"""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """replace the run that the folder --out holds"""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder of data sets that are read from files; by default LOSSFORGE_DATA"""
    device: str = "auto"
    """device to train on: cpu, cuda, or auto for a GPU if there is one"""


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
    method = from_options(METHODS[name](), options.method)
    require_in_range("seed", options.seed, 0)
    device = pick_device(options.device)
    if options.out is not None:
        check_free(options.out, overwrite=options.overwrite)
    task = load(options.task, device=device, data_dir=options.data_dir)
    make_problems(task, options.model)
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
        "settings": method.settings(),
        "comparison": asdict(options.comparison),
        "data": task.fingerprint(),
    }
    out = options.out or free_folder(f"{name}-{task.name}-{options.seed}")
    folder = RunFolder.create(out, config, overwrite=options.overwrite)
    return conclude(folder, carry_out, print_report)


def _parse(method: type[Method[Any, Any]], words: list[str]) -> SearchOptions[Any]:
    preset = word_after("--preset", words) or "quick"
    known = preset if preset in method.presets else "quick"
    default: SearchOptions[Any] = SearchOptions(
        method=to_options(method.preset(known)), comparison=COMPARISONS[known], task=tyro.MISSING
    )
    kind: Any = SearchOptions[options_class(method)]  # type: ignore[misc]
    parsed: SearchOptions[Any] = parse_options(
        kind, words, f"lossforge search {method.name}", default=default
    )
    return parsed


def carry_out(folder: RunFolder) -> None:
    """Run the search that the folder's configuration asks for, from where it stands."""
    config = _checked(folder.config, folder.path)
    method = METHODS[config["method"]].from_settings(config["settings"])
    comparison = Comparison(**config["comparison"])
    task = load_unchanged(config, config["task"], config["data"], folder.path)
    seed, (problem,) = config["seed"], make_problems(task, config["model"])
    with Narrator(method, config, folder.path) as narrator:
        found = method.run(task, config["model"], seed, journal=RunJournal(folder, narrator))
        folder.write_loss(found.loss)
        usual = default_loss(task.kind)
        losses: dict[str, Loss] = {"learned": found.loss, str(usual): usual}
        scores = comparison(losses, problem, method.base, seed, progress=narrator.progress)
    folder.write_result(result_of(config, task, found, scores, folder.seconds))


def _checked(config: State, path: Path) -> State:
    """Return the configuration if it is whole."""
    require_fields(config, FIELDS, path)
    if config["method"] not in METHODS:
        raise unknown_name("method", str(config["method"]), METHODS)
    return config
