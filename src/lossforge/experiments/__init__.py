"""Experiments, from first to last: what the program does, callable from Python.

`search`, `train`, `compare`, `benchmark` and `fewshot` return reports that print short, show tables
in notebooks, and have `to_dataframe()` and `plot()`.
"""

from lossforge.experiments.benchmark_report import BenchmarkReport
from lossforge.experiments.benchmark_run import benchmark
from lossforge.experiments.compare_report import ComparisonReport
from lossforge.experiments.compare_run import compare
from lossforge.experiments.comparison import Comparison
from lossforge.experiments.experiment import NewFolder, Report
from lossforge.experiments.explain_run import ExplanationReport, explain, export
from lossforge.experiments.fewshot_run import FewShotReport, fewshot
from lossforge.experiments.landscape_run import landscape
from lossforge.experiments.report_run import open_run, report
from lossforge.experiments.resuming import resume
from lossforge.experiments.search_report import SearchReport
from lossforge.experiments.search_run import search
from lossforge.experiments.train_report import TrainingReport
from lossforge.experiments.train_run import train
from lossforge.experiments.trained_model import load_model

__all__ = [
    "BenchmarkReport",
    "Comparison",
    "ComparisonReport",
    "ExplanationReport",
    "FewShotReport",
    "NewFolder",
    "Report",
    "SearchReport",
    "TrainingReport",
    "benchmark",
    "compare",
    "explain",
    "export",
    "fewshot",
    "landscape",
    "load_model",
    "open_run",
    "report",
    "resume",
    "search",
    "train",
]
