"""Every method of search on equal evaluations, against the handcrafted loss at its best rate.

    python benchmarks/head_to_head.py [--quick] [--json PATH] [--data-dir DIR] [--tasks ...]

A cell is one search with one seed, then one network trained in full under the loss that it found,
from a seed that no search saw, and tested once. All methods of search have the same budget: 12
candidates in each of 6 generations, each trained for 150 steps. ML3 has no candidates and takes
1000 meta steps, over two horizons twice as many. The handcrafted loss is cross-entropy or squared
error, once at the rate that all searches use and once at the best of five rates, chosen by
validation data over three other seeds. Cells are kept beside the table as they come, so that an
interrupted run goes on.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from harness import Report, first_rows, machine
from lossforge.analysis.behavior import is_bounded
from lossforge.analysis.behavior import path as path_of
from lossforge.cli.allocator import keep_freed_memory
from lossforge.errors import LossforgeError
from lossforge.experiments.comparison import Comparison
from lossforge.experiments.statistics import mean_and_deviation, paired_comparison
from lossforge.files import write_atomically
from lossforge.losses import default_loss
from lossforge.methods import METHODS
from lossforge.searching import BaseTraining, Method, make_problems
from lossforge.tasks import FROM_FILES, Task, load

PLAIN = "handcrafted"
TUNED = "handcrafted, tuned rate"
BUDGET: dict[str, Any] = {"population": 12, "generations": 6, "fitness_steps": 150}
FILTERED: dict[str, Any] = BUDGET | {"filter_steps": 200}
TUNING: dict[str, Any] = {}
"""what --quick changes in the tuning of coefficients"""

FRESH: dict[str, Any] = {"horizons": (1,), "patience": 0}
TWO: dict[str, Any] = {"horizons": (1, 50), "patience": 10}

IMPROVED: dict[str, Any] = {"redraws": 4, "finalists": 4, "final_runs": 3}

SEARCHES: dict[str, Callable[[], Method[Any, Any]]] = {
    "ML3": lambda: METHODS["ml3"].preset("quick").with_options(**TUNING | FRESH),
    "ML3, two horizons": lambda: METHODS["ml3"].preset("quick").with_options(**TUNING | TWO),
    "TaylorGLO": lambda: METHODS["taylorglo"].preset("paper").with_options(**BUDGET),
    "TaylorGLO, longer final": lambda: (
        METHODS["taylorglo"].preset("paper").with_options(**BUDGET, finalists=4, final_steps=STEPS)
    ),
    "random search": lambda: METHODS["random"].preset("paper").with_options(**FILTERED, **TUNING),
    "GP-LFL": lambda: METHODS["gp-lfl"].preset("paper").with_options(**FILTERED),
    "EvoMAL": lambda: METHODS["evomal"].preset("paper").with_options(**FILTERED, **TUNING),
    "EvoMAL, redraws and final": lambda: (
        METHODS["evomal"].preset("paper").with_options(**FILTERED, **TUNING, **IMPROVED)
    ),
}
"""in the papers' form, except that all have one budget; what stands after a comma is ours"""

TASKS = (
    *("digits", "wine", "breast_cancer", "diabetes", "california_housing", "mnist"),
    *("planted_student_t", "planted_outliers", "planted_label_noise", "planted_imbalance"),
)
FACTORS = (0.3, 1.0, 3.0, 10.0, 30.0)
TUNING_SEEDS = 3
MNIST_ROWS = 6000
MODEL = "mlp:width=64"
STEPS = 400

Cells = dict[str, dict[str, Any]]


def searched_on(task: Task) -> Task:
    """Return the task, of MNIST a subset of the rows."""
    if len(task.train) <= 20_000:
        return task
    return replace(
        task, train=first_rows(task.train, MNIST_ROWS), valid=first_rows(task.valid, 2000)
    )


def tested(task: Task, loss: Any, base: BaseTraining, seed: int, steps: int) -> tuple[float, float]:
    """Return validation and test metric of one network trained under a loss."""
    (problem,) = make_problems(task, MODEL)
    compare = Comparison(compare_seeds=1, compare_steps=steps)
    (scores,) = compare({"loss": loss}, problem, base, seed, progress=lambda *_: None)
    return scores.valid[0], scores.test[0]


def tuned_rate(task: Task, base: BaseTraining, steps: int) -> float:
    rates = [factor * base.learning_rate for factor in FACTORS]

    def mean(rate: float) -> float:
        at = replace(base, learning_rate=rate)
        seeds = range(10**6, 10**6 + TUNING_SEEDS)
        return fmean(tested(task, default_loss(task.kind), at, s, steps)[0] for s in seeds)

    return min(rates, key=mean)


def cell(task: Task, name: str, seed: int, steps: int, rate: float) -> dict[str, Any]:
    """Search, train, test."""
    if name in (PLAIN, TUNED):
        base = METHODS["evomal"].preset("paper").base
        base = replace(base, learning_rate=rate) if name == TUNED else base
        loss: Any = default_loss(task.kind)
        valid, test = tested(task, loss, base, 1000 + seed, steps)
        return {"valid": valid, "test": test, "loss": f"{loss} at {base.learning_rate:g}"}
    method, began = SEARCHES[name](), time.monotonic()
    try:
        found = method.run(searched_on(task), MODEL, seed)
    except LossforgeError as error:  # a search that found nothing is a result
        return {"valid": math.inf, "test": math.inf, "loss": f"none: {error}"}
    seconds = time.monotonic() - began
    valid, test = tested(task, found.loss, method.base, 1000 + seed, steps)
    return {
        "valid": valid,
        "test": test,
        "loss": str(found.loss),
        "definition": found.loss.definition() if not found.loss.weights() else None,
        "bounded": is_bounded(path_of(found.loss, 2)) if task.kind.name == "regression" else None,
        "seconds": seconds,
        "evaluations": found.evaluations,
    }


def fill(cells: Cells, path: Path, arguments: argparse.Namespace) -> None:
    """Carry out the cells that are missing, a seed of all methods at a time."""
    for name in arguments.tasks:
        if name in FROM_FILES and arguments.data_dir is None:
            print(f"{name} is left out: it needs --data-dir")
            continue
        task = load(name, data_dir=arguments.data_dir)
        if f"{name} | rate" not in cells:
            rate = tuned_rate(task, METHODS["evomal"].preset("paper").base, arguments.steps)
            cells[f"{name} | rate"] = {"rate": rate}
        rate = cells[f"{name} | rate"]["rate"]
        for seed in range(arguments.seeds):
            for method in (PLAIN, TUNED, *arguments.methods):
                key = f"{name} | {method} | {seed}"
                if key in cells:
                    continue
                cells[key] = cell(task, method, seed, arguments.steps, rate)
                if arguments.json is not None:
                    write_atomically(path, json.dumps(cells, indent=1))
                print(f"{key}: {cells[key]['test']:.4f}  {cells[key]['loss'][:70]}", flush=True)


def tests_of(cells: Cells, task: str, method: str, seeds: int) -> list[float]:
    found = [cells[f"{task} | {method} | {seed}"]["test"] for seed in range(seeds)]
    return [math.inf if value is None else value for value in found]


def table(cells: Cells, tasks: list[str], searches: list[str], seeds: int) -> str:
    """Return the results as Markdown."""
    methods = [PLAIN, TUNED, *searches]
    lines = [f"| {' | '.join(['task', *methods])} |", "|---|" + "---:|" * len(methods)]
    ranks: dict[str, list[int]] = {method: [] for method in methods}
    for task in tasks:
        tests = {method: tests_of(cells, task, method, seeds) for method in methods}
        means = {method: fmean(values) for method, values in tests.items()}
        order = sorted(methods, key=means.__getitem__)
        shown = [task]
        for method in methods:
            ranks[method].append(1 + order.index(method))
            mean, deviation = mean_and_deviation(tests[method])
            paired = paired_comparison(tests[method], tests[TUNED])
            differs = paired is not None and paired.p_t is not None and paired.p_t < 0.05
            mark = ("-" if paired.mean < 0 else "+") if paired and differs else ""
            text = f"{mean:.4f} ± {deviation:.4f}{mark}" if math.isfinite(mean) else "diverged"
            shown.append(f"**{text}**" if method == order[0] else text)
        lines.append(f"| {' | '.join(shown)} |")
    mean_ranks = [f"{fmean(ranks[method]):.1f}" for method in methods]
    lines.append(f"| mean rank | {' | '.join(mean_ranks)} |")
    robust = []
    for method in methods:
        told = [
            cells[f"{task} | {method} | {s}"].get("bounded") for task in tasks for s in range(seeds)
        ]
        known = [each for each in told if each is not None]
        robust.append(f"{sum(known)} of {len(known)}" if known else "")
    if any(robust):
        lines.append(f"| regression losses with bounded gradient | {' | '.join(robust)} |")
    costs = []
    for method in methods:
        done = [cells[f"{task} | {method} | {seed}"] for task in tasks for seed in range(seeds)]
        seconds = [c["seconds"] / max(c["evaluations"], 1) for c in done if "seconds" in c]
        costs.append(f"{fmean(seconds):.2f}" if seconds else "")
    lines.append(f"| seconds an evaluation | {' | '.join(costs)} |")
    return "\n".join(lines) + "\n"


def arguments_of_the_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one task, one seed, few steps")
    parser.add_argument("--json", type=Path, default=None, help="rows; cells and table lie beside")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("LOSSFORGE_DATA"))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--methods", nargs="+", default=list(SEARCHES), choices=list(SEARCHES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.tasks, arguments.seeds, arguments.steps = ["iris"], 2, 60
        BUDGET.update(population=4, generations=2, fitness_steps=20)
        FILTERED.update(BUDGET, filter_steps=20)
        TUNING.update(meta_steps=10)
        TWO.update(horizons=(1, 5))
    return arguments


def main() -> None:
    arguments = arguments_of_the_command()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    stem = arguments.json or Path("head_to_head.json")
    path = stem.with_name(f"{stem.stem}_cells.json")
    cells: Cells = json.loads(path.read_text()) if arguments.json and path.exists() else {}
    fill(cells, path, arguments)
    done = [task for task in arguments.tasks if f"{task} | rate" in cells]
    shown = table(cells, done, arguments.methods, arguments.seeds)
    print(f"\n{shown}")
    report = Report()
    for task in done:
        reference = fmean(tests_of(cells, task, TUNED, arguments.seeds))
        for method in (PLAIN, *arguments.methods):
            ours = fmean(tests_of(cells, task, method, arguments.seeds))
            ratio = ours / reference if reference else math.inf
            report.add(f"{method}, {task}", TUNED, ratio, "test metric, below 1 is better")
    report.save(arguments.json)
    if arguments.json is not None:
        note = f"{arguments.seeds} seeds, {MODEL}, {arguments.steps} steps, {machine()}"
        write_atomically(stem.with_suffix(".md"), f"{__doc__}\n{note}\n\n{shown}")


if __name__ == "__main__":
    main()
