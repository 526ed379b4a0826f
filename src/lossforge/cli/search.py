"""`lossforge search`: from options to a search."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import tyro

from lossforge import experiments
from lossforge.cli.display import Display
from lossforge.cli.method_options import from_options, options_class, to_options
from lossforge.cli.parsing import parse_options, word_after
from lossforge.cli.printing import Printing, print_tables
from lossforge.errors import unknown_name
from lossforge.experiments import Comparison, NewFolder, SearchReport
from lossforge.experiments.arguments import Preset
from lossforge.experiments.paper import comparison_for
from lossforge.experiments.search_settings import CALIBRATIONS, COMPARISONS, as_method
from lossforge.methods import METHODS
from lossforge.report.facts import on_each_task
from lossforge.searching import Calibration, Method
from lossforge.searching.executors import Execution

OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True)
class SearchOptions(Generic[OptionsT]):
    """Search for a loss on a task, then compare it with handcrafted losses over fresh seeds."""

    method: tyro.conf.OmitArgPrefixes[OptionsT]
    comparison: tyro.conf.OmitArgPrefixes[Comparison]
    calibration: tyro.conf.OmitArgPrefixes[Calibration]
    execution: tyro.conf.OmitArgPrefixes[Execution]
    display: tyro.conf.OmitArgPrefixes[Display]
    printing: tyro.conf.OmitArgPrefixes[Printing]
    task: tuple[str, ...]
    """task that networks train on: a name from `lossforge list tasks`, or csv:PATH:TARGET.
    Several tasks of one kind find one loss: the mean of their metrics counts, and the loss is
    compared with handcrafted ones on each"""
    model: str = "mlp"
    """network that is trained: a name from `lossforge list models`, with options: mlp:width=100"""
    metric: str = ""
    """what the search optimizes and tables show: a name from `lossforge list metrics`, such
    as f1 or auroc; by default error_rate or mse"""
    seed: int = 0
    """seed of all random numbers; the same seed finds the same loss on the same machine"""
    preset: Preset = "quick"
    """quick takes minutes on two cores, paper has the published settings; sets the defaults of the
    other options"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder of the run; by default a new one under runs/"""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """discard the run that the folder of --out holds"""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder of data sets that come from files; by default that of LOSSFORGE_DATA"""
    device: str = "auto"
    """device of networks and data: cpu, cuda, or auto for a GPU if there is one"""
    threads: int = 1
    """threads of PyTorch in each process; another number changes the last bits of results"""


def search(words: list[str]) -> int:
    """Run `lossforge search METHOD ...`."""
    usage = f"lossforge search {{{','.join(METHODS)}}} --task TASK [TASK ...]"
    if words[:1] in ([], ["-h"], ["--help"]):
        print(f"usage: {usage} ...\n\n`lossforge search METHOD --help` shows a method's options.")
        return 0
    name, *rest = words
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    options = _parse(METHODS[name], rest)
    report = experiments.search(
        from_options(METHODS[name](), options.method),
        options.task,
        options.model,
        metric=options.metric or None,
        seed=options.seed,
        preset=options.preset,
        comparison=options.comparison,
        calibration=options.calibration,
        out=options.out or NewFolder(),
        overwrite=options.overwrite,
        data_dir=options.data_dir,
        device=options.device,
        threads=options.threads,
        workers=options.execution,
        progress=options.display.watching(),
    )
    options.printing.report(report, print_search)
    return 0


def _parse(method: type[Method[Any, Any]], words: list[str]) -> SearchOptions[Any]:
    preset = word_after("--preset", words) or "quick"
    known = preset if preset in method.presets else "quick"
    task = word_after("--task", words) or ""
    default: SearchOptions[Any] = SearchOptions(
        method=to_options(as_method(method.name, known, task)),
        comparison=comparison_for(known, task, COMPARISONS[known]),
        calibration=CALIBRATIONS[known],
        execution=Execution("auto"),
        display=Display(),
        printing=Printing(),
        task=tyro.MISSING,
    )
    kind: Any = SearchOptions[options_class(method)]  # type: ignore[misc]
    parsed: SearchOptions[Any] = parse_options(
        kind, words, f"lossforge search {method.name}", default=default
    )
    return parsed


def print_search(report: SearchReport) -> None:
    """Print a search's report."""
    result = report.result
    print(f"\nlearned loss: {result['loss']}")
    print_tables(report.tables())
    print(f"\n{report.verdict()}")
    print(
        f"{result['evaluations']} candidates trained in {result['seconds']:.0f} s. In your own "
        f'training loop: loss = lossforge.load("{report.path}")'
    )
    if "recommended" in on_each_task(result)[0]:  # not in runs of earlier versions
        print(report.recommendation())
