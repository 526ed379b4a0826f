"""`lossforge resume`: go on with any interrupted run."""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from lossforge import experiments
from lossforge.cli.benchmark import print_benchmark
from lossforge.cli.compare import print_comparison
from lossforge.cli.display import Display
from lossforge.cli.fewshot import print_few_shot
from lossforge.cli.parsing import parse_options
from lossforge.cli.printing import Printing
from lossforge.cli.search import print_search
from lossforge.cli.train import print_training
from lossforge.experiments import (
    BenchmarkReport,
    ComparisonReport,
    FewShotReport,
    SearchReport,
    TrainingReport,
)
from lossforge.searching.executors import Execution
from lossforge.validation import require


@dataclass(frozen=True)
class ResumeOptions:
    """Go on with the interrupted run in the folder RUN."""

    run: tyro.conf.Positional[Path]
    """the run's folder"""
    execution: tyro.conf.OmitArgPrefixes[Execution] = field(
        default_factory=lambda: Execution("auto")
    )
    display: tyro.conf.OmitArgPrefixes[Display] = field(default_factory=Display)
    printing: tyro.conf.OmitArgPrefixes[Printing] = field(default_factory=Printing)


def resume(words: list[str]) -> int:
    """Run `lossforge resume RUN`."""
    require(bool(words), "say which run to go on with: lossforge resume RUN")
    options = parse_options(ResumeOptions, words, "lossforge resume")
    found = experiments.resume(
        options.run, workers=options.execution, progress=options.display.watching()
    )
    match found:
        case SearchReport() as report:
            options.printing.report(report, print_search)
        case TrainingReport() as report:
            options.printing.report(report, print_training)
        case ComparisonReport() as report:
            options.printing.report(report, print_comparison)
        case BenchmarkReport() as report:
            options.printing.report(report, print_benchmark)
        case FewShotReport() as report:
            options.printing.report(report, print_few_shot)
    return 0
