"""The report of a benchmark: tables in four forms, files, figures."""

import json

import pytest

import lossforge as lf
from lossforge.errors import ConfigurationError
from lossforge.experiments.benchmark_cell import RIVAL
from lossforge.experiments.benchmark_report import BenchmarkReport, benchmark_tables
from lossforge.experiments.benchmark_settings import Setting
from lossforge.searching import Calibration
from lossforge.training.full import Recipe

TASKS = ("iris", "wine")


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> BenchmarkReport:
    """The report of a tiny benchmark of one loss."""
    recipe, calibration = Recipe(steps=12, check_every=6), Calibration(rival_seeds=1)
    return lf.benchmark(
        "focal:gamma=1", TASKS, "linear", repetitions=2, progress=False,
        base=Setting("", recipe=recipe, calibration=calibration),
        out=tmp_path_factory.mktemp("benchmark") / "run",
    )  # fmt: skip


def test_tables_come_in_four_forms_and_plots_for_each_task(report):
    names = {path.name for path in report.path.iterdir()}
    assert {"report.md", "tables.tex", "cells.csv", "result.json"} <= names
    assert {f"tests-{task}-linear.{ending}" for task in TASKS for ending in ("png", "svg")} <= names
    text = (report.path / "report.md").read_text()
    assert text.count(f"| {RIVAL} |") == len(TASKS) + 1
    assert len((report.path / "cells.csv").read_text().splitlines()) == 1 + 2 * 2 * 4
    assert (report.path / "tables.tex").read_text().count("\\toprule") == text.count("###")
    for table in report.tables():
        assert max(map(len, table.plain(80).splitlines())) <= 80


def test_a_report_is_a_frame_and_a_figure(report, tmp_path):
    assert len(report.to_dataframe()) == 2 * 2 * 4
    figure = report.plot()
    assert len(figure.axes) == len(TASKS)
    assert repr(report).startswith("BenchmarkReport(focal:gamma=1 on 2 tasks")
    with pytest.raises(ConfigurationError, match="three tasks"):
        report.plot_ranks()


def test_tables_are_made_of_the_result_alone(report):
    saved = json.loads((report.path / "result.json").read_text())
    assert [t.plain() for t in benchmark_tables(saved)] == [t.plain() for t in report.tables()]
