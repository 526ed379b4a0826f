"""`lossforge resume`: go on with any interrupted run."""

from pathlib import Path

from lossforge import experiments
from lossforge.cli.benchmark import print_benchmark
from lossforge.cli.compare import print_comparison
from lossforge.cli.fewshot import print_few_shot
from lossforge.cli.search import print_search
from lossforge.cli.train import print_training
from lossforge.experiments import (
    BenchmarkReport,
    ComparisonReport,
    FewShotReport,
    SearchReport,
    TrainingReport,
)
from lossforge.validation import require


def resume(words: list[str]) -> int:
    """Run `lossforge resume RUN`."""
    if words in (["-h"], ["--help"]):
        print("usage: lossforge resume RUN\n\nGo on with the interrupted run in the folder RUN.")
        return 0
    require(len(words) == 1, "say which run to go on with: lossforge resume RUN")
    match experiments.resume(Path(words[0])):
        case SearchReport() as report:
            print_search(report)
        case TrainingReport() as report:
            print_training(report)
        case ComparisonReport() as report:
            print_comparison(report)
        case BenchmarkReport() as report:
            print_benchmark(report)
        case FewShotReport() as report:
            print_few_shot(report)
    return 0
