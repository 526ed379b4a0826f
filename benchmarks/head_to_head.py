"""Every method of search on equal evaluations, against the best handcrafted loss at its best rate.

    python benchmarks/head_to_head.py [--quick] [--json PATH] [--data-dir DIR] [--tasks ...]

A call of `lossforge.benchmark`: each repetition is a new split, a new search and a new training;
the handcrafted losses and what every search finds are tuned over one grid of learning rates. All
methods of search have the same budget: 12 candidates in each of 6 generations, each trained for 150
steps. ML3 has no candidates and takes 1000 meta steps, over two horizons twice as many. With --json
the run lies beside it, and an interrupted run goes on where it stopped.
"""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import lossforge as lf
from harness import Report
from lossforge.allocator import keep_freed_memory
from lossforge.experiments.benchmark_cell import RIVAL
from lossforge.experiments.benchmark_settings import Setting
from lossforge.methods import METHODS
from lossforge.searching import Calibration, Method
from lossforge.tasks import FROM_FILES
from lossforge.training.full import Recipe

BUDGET: dict[str, Any] = {"population": 12, "generations": 6, "fitness_steps": 150}
FILTERED: dict[str, Any] = BUDGET | {"filter_steps": 200}
IMPROVED: dict[str, Any] = {"redraws": 4, "finalists": 4, "final_runs": 3}

SEARCHES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ML3": ("ml3", "quick", {"horizons": (1,), "patience": 0}),
    "ML3, two horizons": ("ml3", "quick", {"horizons": (1, 50), "patience": 10}),
    "TaylorGLO": ("taylorglo", "paper", BUDGET),
    "TaylorGLO, longer final": ("taylorglo", "paper", BUDGET | {"finalists": 4}),
    "random search": ("random", "paper", FILTERED),
    "GP-LFL": ("gp-lfl", "paper", FILTERED),
    "EvoMAL": ("evomal", "paper", FILTERED),
    "EvoMAL, redraws and final": ("evomal", "paper", FILTERED | IMPROVED),
}
"""in the papers' form, except that all have one budget; what stands after a comma is ours"""

TASKS = (
    *("digits", "wine", "breast_cancer", "diabetes", "california_housing", "mnist"),
    *("planted_student_t", "planted_outliers", "planted_label_noise", "planted_imbalance"),
)
MNIST_ROWS = {"train_rows": 6000, "valid_rows": 2000}
MODEL = "mlp:width=64"
STEPS = 400

QUICK: dict[str, Any] = {"population": 4, "generations": 2, "fitness_steps": 20, "filter_steps": 20}
QUICK |= {"meta_steps": 10, "check_every": 10}


def methods(names: list[str], changes: Mapping[str, Any]) -> dict[str, Method[Any, Any]]:
    found = {}
    for name in names:
        method, preset, options = SEARCHES[name]
        made = METHODS[method].preset(preset)
        known = made.settings()
        options = {k: v for k, v in {**options, **changes}.items() if k in known}
        if changes and method == "ml3":
            options["horizons"] = (1, 5)[: len(options["horizons"])]
        found[name] = made.with_options(**options)
    return found


def arguments_of_the_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one task, two methods, few steps")
    parser.add_argument("--json", type=Path, default=None, help="rows; the run lies beside it")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("LOSSFORGE_DATA"))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--methods", nargs="+", default=list(SEARCHES), choices=list(SEARCHES))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.tasks, arguments.repetitions, arguments.steps = ["iris"], 2, 30
        arguments.methods = ["ML3, two horizons", "EvoMAL"]
    return arguments


def main() -> None:
    arguments = arguments_of_the_command()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    recipe = Recipe(steps=arguments.steps, check_every=max(1, arguments.steps // 8))
    settings = []
    for task in arguments.tasks:
        if task in FROM_FILES and arguments.data_dir is None:
            print(f"{task} is left out: it needs --data-dir")
            continue
        rows = MNIST_ROWS if task == "mnist" else {}
        repetitions = arguments.repetitions
        settings.append(
            Setting(task, MODEL, repetitions, recipe, Calibration(rival_seeds=1), **rows)
        )
    out = None if arguments.json is None else arguments.json.with_suffix("")
    found = lf.benchmark(
        methods(arguments.methods, QUICK if arguments.quick else {}),
        settings=settings,
        out=out,
        resume=out is not None,
        data_dir=arguments.data_dir,
    )
    for table in found.tables():
        print(f"\n{table.plain(100)}")
    report = Report()
    for setting in found.result["settings"]:
        tests = {entry["name"]: entry["test"] for entry in setting["entries"]}
        for name, test in tests.items():
            if name != RIVAL and test is not None and tests[RIVAL]:
                ratio = test / tests[RIVAL]
                report.add(f"{name}, {setting['task']}", RIVAL, ratio, "test metric, below 1")
    report.save(arguments.json)


if __name__ == "__main__":
    main()
