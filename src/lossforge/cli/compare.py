"""`lossforge compare`: losses by tasks by networks by seeds, as one resumable grid."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby, product
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lossforge import __version__
from lossforge.cli.common import (
    HOW_TO_PLOT,
    absolute,
    conclude,
    free_folder,
    load_unchanged,
    pick_device,
    require_fields,
)
from lossforge.cli.meter import Meter
from lossforge.cli.parsing import parse_options, word_after
from lossforge.cli.train import PRESETS, from_plain, what_came_of_the_warm_up
from lossforge.errors import DivergedError
from lossforge.experiments.curves import plot_curves
from lossforge.experiments.grid import Cell, Grid, Line, Tune, best_rate, markdown
from lossforge.extras import has_extra
from lossforge.files import write_atomically
from lossforge.losses import HANDCRAFTED
from lossforge.methods import AdaLFL, State
from lossforge.methods.lesson import Adapting, AdaptOn
from lossforge.models import resolve
from lossforge.runs import RunFolder, check_free
from lossforge.specs import parse_spec
from lossforge.tasks import Task, load
from lossforge.training.full import Outcome, Recipe

FIELDS = {"grid", "device", "data"}


@dataclass(frozen=True)
class CompareOptions:
    """Train networks under several losses from the same seeds; test each once; compare in pairs."""

    recipe: tyro.conf.OmitArgPrefixes[Recipe]
    adalfl: AdaLFL
    losses: tuple[str, ...]
    """names from `lossforge list losses`, loss files, runs that found one, or adalfl; the first is
    what the others are held against"""
    task: tuple[str, ...]
    """one or more tasks; a loss learned elsewhere is thereby transferred"""
    model: tuple[str, ...] = ("mlp",)
    """one or more networks"""
    seeds: int = 5
    """networks trained under each loss"""
    seed: int = 0
    """the first of the seeds"""
    tune: Tune = "none"
    """add entries whose learning rate is tuned on validation data: for the handcrafted losses, or
    for all; a learned loss must not win only by rescaling the step"""
    factors: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    """multiples of --learning-rate that tuning tries"""
    tuning_seeds: int = 2
    """networks trained for each of them"""
    preset: Literal["quick", "paper"] = "quick"
    """minutes on two cores, or the published steps: sets the defaults of the options below"""
    adapt_on: AdaptOn = "valid"
    """rows that adalfl learns from"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """the run's folder; by default a new one under runs/"""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """discard the run that --out holds"""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """where data sets that come from files lie; by default LOSSFORGE_DATA"""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU if there is one"""

    def grid(self) -> Grid:
        """Return the grid that the options ask for."""
        return Grid(
            losses=self.losses,
            tasks=self.task,
            models=self.model,
            seeds=self.seeds,
            first_seed=self.seed,
            recipe=self.recipe,
            adalfl=self.adalfl,
            adapt_on=self.adapt_on,
            tune=self.tune,
            factors=self.factors,
            tuning_seeds=self.tuning_seeds,
        )


def compare(words: list[str]) -> int:
    """Run `lossforge compare ...`."""
    preset = word_after("--preset", words) or "quick"
    recipe, adalfl = PRESETS[preset if preset in PRESETS else "quick"]
    default = CompareOptions(recipe, adalfl, losses=tyro.MISSING, task=tyro.MISSING)
    options = parse_options(CompareOptions, words, "lossforge compare", default=default)
    grid, device = options.grid(), pick_device(options.device)
    if options.out is not None:
        check_free(options.out, overwrite=options.overwrite)
    tasks = {name: load(name, device=device, data_dir=options.data_dir) for name in grid.tasks}
    for (name, task), model, loss in product(tasks.items(), grid.models, grid.losses):
        grid.lesson(Cell(name, model, loss, grid.recipe.learning_rate, 0)).check(task)
        resolve(model, task)
    config: State = {
        "version": __version__,
        "command": "compare",
        "preset": options.preset,
        "device": str(device),
        "data_dir": absolute(options.data_dir),
        "grid": asdict(grid),
        "data": {name: task.fingerprint() for name, task in tasks.items()},
    }
    out = options.out or free_folder(f"compare-{'-'.join(task.name for task in tasks.values())}")
    folder = RunFolder.create(out, config, overwrite=options.overwrite)
    return conclude(folder, carry_out, print_result)


def carry_out(folder: RunFolder) -> None:
    """Train what is left of the grid, then write its tables and plots."""
    config = folder.config
    require_fields(config, FIELDS, folder.path)
    grid = _grid_of(config["grid"])
    tasks = {
        name: load_unchanged(config, name, config["data"][name], folder.path) for name in grid.tasks
    }
    with Meter(f"comparing {len(grid.losses)} losses; the run is {folder.path}") as meter:
        work = _Work(grid, tasks, folder, meter)
        lines = work.lines()
    tables, summaries = [], []
    for (name, task), model in product(tasks.items(), grid.models):
        some = [line for line in lines if (line.task, line.model) == (name, model)]
        title = f"{task.metric} on {name} with {model}, {grid.recipe.steps} steps"
        tables.append(markdown(f"{title}, {grid.seeds} seeds", some))
        summaries += [line.summary(some[0]) for line in some]
        if has_extra("plots"):
            stem = folder.path / _file_name(f"curves-{name}-{model}")
            plot_curves(title, task.metric, some, stem)
    write_atomically(folder.path / "report.md", "\n".join(tables))
    folder.write_result(_result(config, next(iter(tasks.values())), summaries, folder.seconds))


def print_result(result: State, path: Path) -> None:
    """Print a comparison's tables for a person."""
    console = Console(highlight=False)
    curves = "curves beside it" if has_extra("plots") else f"no curves: {escape(HOW_TO_PLOT)}"
    by_setting = groupby(result["lines"], key=lambda line: (line["task"], line["model"]))
    for (task, model), lines in by_setting:
        console.print(_table(f"{result['metric']} on {task} with {model}", list(lines)))
    console.print(
        f"lower is better; differences are from {result['baseline']['name']}, paired by seed; p is "
        "Wilcoxon's; rates with * are tuned on validation data. "
        f"Tables are in {path}/report.md; {curves}; {result['seconds']:.0f} s.",
        soft_wrap=True,
    )


def _table(title: str, lines: Sequence[State]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("loss", no_wrap=True)
    for heading in ("rate", "test", "deviation", "validation", "difference", "p"):
        table.add_column(heading, justify="right")
    for line in lines:
        against = line["against"]
        difference = "" if against is None else f"{against['mean']:+.4f}"
        p = "" if against is None else f"{against['p_wilcoxon']:.3f}"
        rate = f"{line['learning_rate']:g}{'*' if line['tuned'] else ''}"
        numbers = (_shown(line[key]) for key in ("test", "deviation", "valid"))
        table.add_row(Path(line["loss"]).name, rate, *numbers, difference, p)
    return table


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


@dataclass
class _Work:
    """The grid with the cells that are done."""

    grid: Grid
    tasks: dict[str, Task]
    folder: RunFolder
    meter: Meter
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        state = self.folder.restore()
        if state is not None:
            self.outcomes = {key: _outcome(row) for key, row in state["cells"].items()}

    def lines(self) -> list[Line]:
        """Train what is left and return all entries."""
        found = []
        for task, model, loss in product(self.grid.tasks, self.grid.models, self.grid.losses):
            usual = self.grid.recipe.learning_rate
            found.append(self._line(task, model, loss, usual, is_tuned=False))
            if self.grid.is_tuned(loss, _is_handcrafted(loss)):
                cells = list(self.grid.tuning_cells(task, model, loss))
                self._train(cells)
                rate = best_rate(cells, self.outcomes)
                found.append(self._line(task, model, loss, rate, is_tuned=True))
        return found

    def _line(self, task: str, model: str, loss: str, rate: float, *, is_tuned: bool) -> Line:
        cells = self.grid.cells(task, model, loss, rate)
        self._train(cells)
        outcomes = tuple(self.outcomes[cell.key] for cell in cells)
        return Line(task, model, loss, rate, is_tuned, outcomes)

    def _train(self, cells: Sequence[Cell]) -> None:
        for cell in cells:
            if cell.key in self.outcomes:
                continue
            outcome = self._outcome_of(cell)
            self.outcomes[cell.key] = outcome
            state = {"cells": {key: _row(o) for key, o in self.outcomes.items()}}
            entry = {"cell": cell.key, "valid": _finite(outcome.valid)}
            self.folder.checkpoint(state, entry)
            self.meter.tell(f"{cell.key}: {outcome.failure or f'{outcome.valid:.4f}'}")

    def _outcome_of(self, cell: Cell) -> Outcome:
        def warmed(done: int, total: int) -> None:
            self.meter.progress("warming up", done, total)

        lesson = self.grid.lesson(cell)
        try:
            training = lesson.begin(self.tasks[cell.task], cell.model, cell.seed, warmed)
        except DivergedError as error:
            return Outcome(math.inf, math.inf, 0, (), str(error))
        if isinstance(training.teacher, Adapting):
            self.meter.tell(what_came_of_the_warm_up(training.teacher.adapt))
        return training.run(lambda: None, self.meter.progress)


def _result(config: State, task: Task, summaries: list[State], seconds: float) -> State:
    grid, first = config["grid"], summaries[0]
    others = summaries[1:] or summaries
    best = min(others, key=lambda line: math.inf if line["valid"] is None else line["valid"])
    return {
        "method": "compare",
        "task": ",".join(grid["tasks"]),
        "model": ",".join(grid["models"]),
        "seed": grid["first_seed"],
        "metric": task.metric,
        "valid": best["valid"],
        "test": best["test"],
        "loss": best["loss"],
        "baseline": {key: first[key] for key in ("valid", "test")} | {"name": first["loss"]},
        "lines": summaries,
        "evaluations": sum(len(line["tests"]) for line in summaries),
        "seconds": round(seconds, 3),
        "preset": config["preset"],
        "version": config["version"],
    }


def _grid_of(content: State) -> Grid:
    nested = {
        "recipe": from_plain(Recipe, content["recipe"]),
        "adalfl": from_plain(AdaLFL, content["adalfl"]),
    }
    grid: Grid = from_plain(Grid, content | nested)
    return grid


def _is_handcrafted(loss: str) -> bool:
    return not Path(loss).exists() and parse_spec(loss)[0] in HANDCRAFTED


def _row(outcome: Outcome) -> list[Any]:
    curve = [list(look) for look in outcome.curve]
    return [_finite(outcome.valid), _finite(outcome.test), outcome.step, curve, outcome.failure]


def _outcome(row: list[Any]) -> Outcome:
    valid, test, step, curve, failure = row
    valid, test = (math.inf if value is None else value for value in (valid, test))
    looks = tuple((int(at), float(score)) for at, score in curve)
    return Outcome(valid, test, step, looks, failure)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text)
