"""`lossforge benchmark`: from options to methods by tasks by networks by repetitions."""

import textwrap
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from lossforge import experiments
from lossforge.cli.display import Display
from lossforge.cli.parsing import parse_options, word_after
from lossforge.cli.printing import HOW_TO_PLOT, Printing, print_tables, terminal_width
from lossforge.errors import ConfigurationError
from lossforge.experiments import BenchmarkReport, NewFolder
from lossforge.experiments.arguments import Preset
from lossforge.experiments.benchmark_entrants import read_options
from lossforge.experiments.benchmark_settings import Setting
from lossforge.experiments.measured import direction
from lossforge.experiments.paper import PAPER, recipe_for
from lossforge.experiments.summary import ROPE
from lossforge.experiments.train_settings import PRESETS
from lossforge.extras import has_extra
from lossforge.searching import Calibration
from lossforge.searching.executors import Execution
from lossforge.training.full import Recipe

PLAIN = Setting("")


@dataclass(frozen=True)
class BenchmarkOptions:
    """Compare methods with the best handcrafted losses over repetitions: new splits and searches.

    Each repetition calibrates the handcrafted losses on its split, runs every method's search
    there, tunes all learning rates over one grid on validation rows, and tests each network once.
    """

    recipe: tyro.conf.OmitArgPrefixes[Recipe] = field(default_factory=lambda: PLAIN.recipe)
    calibration: tyro.conf.OmitArgPrefixes[Calibration] = field(
        default_factory=lambda: PLAIN.calibration
    )
    execution: tyro.conf.OmitArgPrefixes[Execution] = field(
        default_factory=lambda: Execution("auto")
    )
    display: tyro.conf.OmitArgPrefixes[Display] = field(default_factory=Display)
    printing: tyro.conf.OmitArgPrefixes[Printing] = field(default_factory=Printing)
    methods: tuple[str, ...] = ()
    """methods to compare: names from `lossforge list methods`, with options that differ from the
    preset's (evomal:population=24,generations=10), losses, which are only tuned, or adalfl; by
    default the suite's"""
    tasks: tuple[str, ...] = ()
    """names from `lossforge list tasks`"""
    models: tuple[str, ...] = (PLAIN.model,)
    """names from `lossforge list models`; each network is trained on each task"""
    metric: str = ""
    """what searches optimize and tables show: a name from `lossforge list metrics`, such as f1 or
    auroc; by default error_rate or mse"""
    suite: str = ""
    """small, twelve, thesis or thesis-scaled: tasks, networks, repetitions and steps from a file,
    in place of --tasks and --models"""
    repetitions: Annotated[int, tyro.conf.arg(aliases=["--seeds"])] = 0
    """new splits, searches and trainings for every task and network; of a suite, at most so many;
    0 for 5, or for as many as the suite has"""
    seed: int = 0
    """seed of the first repetition; the others count up from it"""
    budget: float = 1.0
    """factor on all numbers of training steps; below 1 for a quicker run"""
    search_options: tuple[str, ...] = ()
    """options of searches that differ from their preset's, such as fitness_steps=300; methods
    without an option of that name ignore it"""
    train_rows: int = 0
    """training rows that are kept of each task; 0 for all"""
    valid_rows: int = 0
    """validation rows that are kept of each task; 0 for all"""
    rope: float = ROPE
    """half the width of the region of practical equivalence, in the metric's unit"""
    preset: Preset | None = None
    """quick takes minutes on two cores, paper has the published settings; by default the suite's,
    or quick"""
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


def benchmark(words: list[str]) -> int:
    """Run `lossforge benchmark ...`."""
    default = BenchmarkOptions(recipe=_default_recipe(words))
    options = parse_options(BenchmarkOptions, words, "lossforge benchmark", default=default)
    report = experiments.benchmark(
        options.methods or None,
        options.tasks,
        options.models,
        metric=options.metric,
        suite=options.suite or None,
        repetitions=options.repetitions,
        seed=options.seed,
        budget=options.budget,
        rope=options.rope,
        preset=options.preset,
        base=_base(options),
        out=options.out or NewFolder(),
        overwrite=options.overwrite,
        data_dir=options.data_dir,
        device=options.device,
        threads=options.threads,
        workers=options.execution,
        progress=options.display.watching(),
    )
    options.printing.report(report, print_benchmark)
    return 0


def _default_recipe(words: list[str]) -> Recipe:
    """Return the recipe of `--preset paper` on the first task; else that of short trainings."""
    if word_after("--preset", words) != PAPER or word_after("--suite", words):
        return PLAIN.recipe
    return recipe_for(PAPER, word_after("--tasks", words) or "", PRESETS[PAPER][0])


def _base(options: BenchmarkOptions) -> Setting:
    """Return what the options say of every task and network."""
    base = replace(
        PLAIN,
        recipe=options.recipe,
        calibration=options.calibration,
        search=read_options(options.search_options),
        train_rows=options.train_rows,
        valid_rows=options.valid_rows,
    )
    if options.suite and base != PLAIN:
        raise ConfigurationError(
            f"the suite {options.suite} says how networks are trained; change it by --budget and "
            "--repetitions, or give --tasks in its place"
        )
    return base


def print_benchmark(report: BenchmarkReport) -> None:
    """Print a benchmark's tables."""
    result = report.result
    print_tables(report.tables())
    about = (
        f"{direction(result).capitalize()}. The references are the default loss at the common "
        "learning rate and at its best one, and the best handcrafted loss at its best one; losses "
        "and learning rates are chosen on validation rows in each repetition."
    )
    print(f"\n{textwrap.fill(about, terminal_width())}")
    plots = "plots beside them" if has_extra("plots") else f"no plots: {HOW_TO_PLOT}"
    if report.path is not None:
        print(
            f"Tables are in {report.path}/report.md, tables.tex and cells.csv; {plots}; "
            f"{result['seconds']:.0f} s."
        )
