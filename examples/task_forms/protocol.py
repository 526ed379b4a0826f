"""How the examples of this folder search, and what they print: one protocol for all task forms.

    python examples/task_forms/FORM.py [--seed N] [--quick] [--data-dir DIR]

A small EvoMAL search finds a loss; the handcrafted losses are tried at several learning rates, and
so is what was found. Networks then train in full from fresh seeds under the default loss, the best
handcrafted one and the learned one, each at its best rate, and are tested once. --quick shortens
everything until it only shows that it runs.
"""

import argparse
import resource
import time
from typing import Any

import lossforge as lf

SIZES: dict[str, Any] = {"compare_steps": 400, "compare_seeds": 5, "rival_runs": 5}
SIZES |= {"rival_steps": 150, "batch_size": 64}
SMALL = {"population": 8, "generations": 4, "meta_steps": 15, "fitness_steps": 80}
SMALL |= {"filter_steps": 100, "finalists": 3, "final_runs": 2, "final_steps": 160}
SMALL |= {"seed_expressions": ("-y*log(p)", "square(y - p) - y*log(p)")}
"""for networks that take long, convolutions, recurrent ones, transformers: a search of so few
candidates begins with cross-entropy and a sum with it, since random formulas that train such a
network in so few steps are rare"""
QUICK = {"population": 4, "generations": 1, "meta_steps": 2, "fitness_steps": 4, "finalists": 1}
QUICK |= {"compare_steps": 6, "compare_seeds": 2, "rival_runs": 1, "rival_steps": 6}
QUICK |= {"filter_steps": 10, "batch_size": 16}
"""what shows no more than that a script runs"""


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data-dir")
    parser.add_argument("--workers", default="1")
    return parser.parse_args()


def search(task: lf.Task, model: Any, given: argparse.Namespace, **settings: Any) -> None:
    """Search for a loss on a task, and print how it fares beside handcrafted losses."""
    begun, cpu = time.perf_counter(), _cpu_seconds()
    chosen = SIZES | settings | (QUICK if given.quick else {})
    workers = int(given.workers) if given.workers.isdigit() else "auto"
    report = lf.search(
        "evomal", task, model, seed=given.seed, workers=workers, progress=False, **chosen
    )
    print(task)
    print(f"learned loss: {report.loss}\n\n{report.rivals_table().plain(100)}\n")
    print(report.recommendation())
    wall, cpu = time.perf_counter() - begun, _cpu_seconds() - cpu
    print(f"seed {given.seed}; {wall:.0f} s, of which {cpu:.0f} s of processor time")


def _cpu_seconds() -> float:
    """Return the processor time of this process and of those that it has ended."""
    uses = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)
