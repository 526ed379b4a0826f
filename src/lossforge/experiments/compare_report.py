"""The results of a comparison as people read them: tables, curves and ranks."""

from itertools import groupby
from typing import TYPE_CHECKING, Any, final

from lossforge.analysis.drawing import axes_of, new_figure
from lossforge.errors import ConfigurationError
from lossforge.experiments.experiment import Report
from lossforge.experiments.measured import direction, is_maximized
from lossforge.experiments.repeating import repeat_command
from lossforge.experiments.summary import overall_table, setting_table
from lossforge.experiments.tables import Table, number
from lossforge.experiments.train_settings import training_defaults
from lossforge.methods import State

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
class ComparisonReport(Report):
    """The results of a comparison.

    Attributes:
        run: on disk or in memory.
        result: what ``result.json`` holds.
    """

    def tables(self) -> list[Table]:
        """Return a table for each task and network, and one over all of them."""
        return comparison_tables(self.result)

    def _command(self, config: State) -> str:
        grid = config["grid"]
        options = {"losses": grid["losses"], "task": grid["tasks"], "model": grid["models"]}
        options |= {"seed": grid["first_seed"], "preset": config["preset"]} | grid["recipe"]
        options["metric"] = config.get("metric")
        own = ("seeds", "tune", "factors", "tuning_seeds", "adalfl", "adapt_on", "task_loss")
        options |= {key: grid[key] for key in own}
        defaults = training_defaults(config["preset"], grid["tasks"][0]) | {
            "model": ["mlp"],
            "seeds": 5,
        }
        defaults |= {"tune": "none", "factors": [0.1, 0.3, 1.0, 3.0, 10.0], "tuning_seeds": 2}
        return repeat_command(["compare"], options, defaults)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each loss on each task and network."""
        rows = []
        for line in self.result["lines"]:
            against = line["against"] or {}
            columns = ("task", "model", "loss", "learning_rate", "tuned", "valid", "test")
            row = {key: line[key] for key in (*columns, "deviation")}
            row["difference"] = against.get("mean")
            row |= {key: against.get(key) for key in ("p_wilcoxon", "p_holm", "rival", "reason")}
            rows.append(row)
        return rows

    def plot(self) -> "Figure":
        """Return the test metric of each run, a panel for each task and network."""
        from lossforge.experiments.plots import draw_runs, figure_with

        settings = _by_setting(self.result)
        figure, panels = figure_with(len(settings))
        for axes, ((task, model), lines) in zip(panels, settings, strict=True):
            names = [f"{line['loss']}{', tuned' if line['tuned'] else ''}" for line in lines]
            draw_runs(axes, names, [line["tests"] for line in lines], self.result["metric"])
            axes.set_title(f"{task} with {model}", fontsize="medium")
        return figure

    def plot_ranks(self) -> "Figure":
        """Return the critical-difference diagram over all tasks and networks.

        Raises:
            ConfigurationError: there are too few tasks or losses to rank.
        """
        if "overall" not in self.result:
            raise ConfigurationError("mean ranks need three tasks or networks, and two losses")
        return ranks_figure(self.result)

    def __repr__(self) -> str:
        result = self.result
        lines = [f"{line['loss']} {number(line['test'])}" for line in result["lines"]]
        shown = ", ".join(lines[:4]) + (", ..." if len(lines) > 4 else "")
        return (
            f"ComparisonReport({result['task']} with {result['model']}: test "
            f"{result['metric']} {shown})"
        )


def comparison_tables(result: State) -> list[Table]:
    """Return a comparison's tables."""
    length = f", {result['steps']} steps, {result['seeds']} seeds" if "steps" in result else ""
    higher = f" ({direction(result)})" if is_maximized(result) else ""
    scales = result.get("target_scales", {})
    tables = [
        setting_table(
            f"{result['metric']} on {task} with {model}{length}{higher}", lines, scales.get(task)
        )
        for (task, model), lines in _by_setting(result)
    ]
    return [*tables, *([overall_table(result["overall"])] if "overall" in result else [])]


def ranks_figure(result: State) -> "Figure":
    """Return the critical-difference diagram over all tasks and networks."""
    from lossforge.experiments.plots import draw_ranks

    names = result["overall"]["names"]
    figure = new_figure(8, 1.5 + 0.3 * len(names))
    draw_ranks(axes_of(figure)[0], result["overall"])
    return figure


def _by_setting(result: State) -> list[tuple[tuple[str, str], list[State]]]:
    grouped = groupby(result["lines"], key=lambda line: (line["task"], line["model"]))
    return [(setting, list(lines)) for setting, lines in grouped]
