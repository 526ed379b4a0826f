"""The results of a benchmark as people read them: tables, files and figures."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lossforge.analysis.drawing import axes_of, new_figure, save_figure
from lossforge.errors import ConfigurationError
from lossforge.experiments.benchmark_cell import RIVAL
from lossforge.experiments.benchmark_tables import (
    cost_table,
    csv_of,
    setting_table,
    summary_table,
    versus_table,
)
from lossforge.experiments.experiment import Report
from lossforge.experiments.measured import is_maximized
from lossforge.experiments.summary import overall_table
from lossforge.experiments.tables import Table
from lossforge.extras import has_extra
from lossforge.files import write_atomically
from lossforge.methods import State

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
class BenchmarkReport(Report):
    """The results of a benchmark.

    Attributes:
        run: on disk or in memory.
        result: what ``result.json`` holds.
    """

    def tables(self) -> list[Table]:
        """Return a table for each task and network, the tests, mean ranks and costs."""
        return benchmark_tables(self.result)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each tested network."""
        return [
            {"task": each["task"], "model": each["model"], "entry": entry["name"]}
            | {"seed": seed, "loss": loss, "rate": rate, "valid": valid, "test": test}
            for each in self.result["settings"]
            for entry in each["entries"]
            for seed, loss, rate, valid, test in zip(
                *(entry[key] for key in ("seeds", "losses", "rates", "valids", "tests")),
                strict=True,
            )
        ]

    def plot(self) -> "Figure":
        """Return the test metric of each repetition, a panel for each task and network."""
        settings = self.result["settings"]
        figure = new_figure(5.5 * len(settings) + 1, 1.5 + 0.4 * len(settings[0]["entries"]))
        panels = axes_of(figure, len(settings))
        for axes, setting in zip(panels, settings, strict=True):
            _draw_setting(axes, setting)
        return figure

    def plot_ranks(self) -> "Figure":
        """Return the critical-difference diagram over all tasks and networks.

        Raises:
            ConfigurationError: there are fewer than three of them.
        """
        if "overall" not in self.result:
            raise ConfigurationError("mean ranks need three tasks or networks")
        return _ranks_figure(self.result)

    def __repr__(self) -> str:
        settings, names = self.result["settings"], ", ".join(self.result["methods"])
        verdicts = [each["verdict"] for each in self.result["against"][RIVAL]]
        told = ", ".join(f"{verdicts.count(each)} {each}" for each in sorted(set(verdicts)))
        return (
            f"BenchmarkReport({names[:80]} on {len(settings)} tasks and networks; against the best "
            f"handcrafted losses: {told or 'no method'})"
        )


def benchmark_tables(result: State) -> list[Table]:
    """Return a benchmark's tables, each narrow enough for a terminal."""
    settings = result["settings"]
    versus = [
        versus_table(reference, found, result["rope"], of_costs=any(map(is_maximized, settings)))
        for reference, found in result["against"].items()
        if found
    ]
    return [
        *(setting_table(setting) for setting in settings),
        *versus,
        *([overall_table(result["overall"])] if "overall" in result else []),
        cost_table(result["costs"]),
    ]


def write_files(result: State, cells: Sequence[State], path: Path) -> None:
    """Write tables as Markdown, LaTeX and CSV and, where matplotlib is installed, plots.

    Args:
        result: of the benchmark.
        cells: results of its cells.
        path: folder of the run.
    """
    tables = [summary_table(result["settings"]), *benchmark_tables(result)]
    write_atomically(path / "report.md", "\n".join(table.markdown() for table in tables))
    write_atomically(path / "tables.tex", "\n\n".join(table.latex() for table in tables) + "\n")
    write_atomically(path / "cells.csv", csv_of(cells))
    if not has_extra("plots"):
        return
    for setting in result["settings"]:
        figure = new_figure(7, 1.5 + 0.4 * len(setting["entries"]))
        _draw_setting(axes_of(figure)[0], setting)
        name = re.sub(r"[^\w.-]+", "_", f"tests-{setting['task']}-{setting['model']}")
        save_figure(figure, path / name)
    if "overall" in result:
        save_figure(_ranks_figure(result), path / "ranks")


def _draw_setting(axes: Any, setting: State) -> None:
    from lossforge.experiments.plots import draw_runs

    names = [entry["name"] for entry in setting["entries"]]
    draw_runs(axes, names, [e["tests"] for e in setting["entries"]], setting["metric"])
    axes.set_title(f"{setting['task']} with {setting['model']}", fontsize="medium")


def _ranks_figure(result: State) -> "Figure":
    from lossforge.experiments.plots import draw_ranks

    names = result["overall"]["names"]
    figure = new_figure(8, 1.5 + 0.3 * len(names))
    draw_ranks(axes_of(figure)[0], result["overall"])
    return figure
