"""What each part of the quick search pays: the test error of what is found without it.

    python benchmarks/ablation.py [--quick] [--json PATH]

Every search stops after the same number of training steps under candidates (`search_steps`), and
chooses among as many finalists. What it finds is trained in full, five times, with the user's
learning rate; the figures are means over searches. The table goes beside the JSON as Markdown.
"""

import time
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from harness import Report, machine, parse_arguments
from lossforge.experiments.comparison import Comparison
from lossforge.files import write_atomically
from lossforge.methods import EvoMAL
from lossforge.methods.evomal.search import QUICK, QUICK_TUNING
from lossforge.searching import make_problems
from lossforge.tasks import load

MODEL = "mlp:width=128"
TASKS = ("digits", "wine", "breast_cancer", "diabetes")
SEARCHES = 5
STEPS = 15_000
"""training steps under candidates"""

COMMON: Mapping[str, Any] = {"generations": 200, "search_width": 0}
PAPERS = EvoMAL().settings()


def without(*names: str) -> dict[str, Any]:
    """Return the paper's way of some options of the quick preset."""
    unknown = set(names) - set(QUICK) - set(QUICK_TUNING)
    assert not unknown, unknown
    return {name: PAPERS[name] for name in names}


VARIANTS: dict[str, dict[str, Any]] = {
    "quick": {},
    "sizes as formulas give them": without("scales", "confirmed_factors"),
    "coefficients of 1 in every candidate": without(
        "inherit", "coefficient_spread", "perturbation", "crossover", "mutation"
    ),
    "ranked by the error rate": without("fitness_measure"),
    "no halving": {"halving": 0.0, "racing": True},
    "finalists not tuned": {"meta_steps": 0},
    "every candidate tuned": {"tune": "candidates", "meta_steps": 10},
    "finalists tuned without a horizon": without("horizon"),
    "finalists tuned by plain cross-entropy": without("task_loss"),
    "the fittest is taken": {"finalists": 1},
    "the best finalist, whatever its size": without("final_simplest"),
    "offspring that a filter settled are kept": without("redraws"),
    "the paper's search": {name: PAPERS[name] for name in (*QUICK, *QUICK_TUNING)}
    | {"meta_steps": 10},
}


def measured(task_name: str, changes: Mapping[str, Any], seed: int) -> tuple[float, int, float]:
    """Return the test metric of the loss that a search finds, its training steps and seconds."""
    task = load(task_name)
    method = EvoMAL.preset("quick").with_options(**{"search_steps": STEPS, **COMMON, **changes})
    begin = time.process_time()
    found = method.run(task, MODEL, seed, progress=False)
    seconds = time.process_time() - begin
    (problem,) = make_problems(task, MODEL)
    (scores,) = Comparison(compare_seeds=5, compare_steps=400)(
        {"learned": found.loss}, problem, method.base, seed, progress=lambda *_: None
    )
    return fmean(scores.test), found.counts["training steps"], seconds


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    tasks, searches = TASKS, SEARCHES
    variants, budget = VARIANTS, {}
    if arguments.quick:
        tasks, searches = ("wine",), 1
        variants = {name: VARIANTS[name] for name in ("quick", "ranked by the error rate")}
        budget = {"search_steps": 300, "population": 8, "finalists": 2}
    report, lines = (
        Report(),
        ["| task | variant | test | steps | seconds |", "|---|---|---:|---:|---:|"],
    )
    for task in tasks:
        usual = None
        for name, changes in variants.items():
            found = [measured(task, {**changes, **budget}, seed) for seed in range(searches)]
            test, steps, seconds = (fmean(row[i] for row in found) for i in range(3))
            each = " ".join(f"{row[0]:.4f}" for row in found)
            lines.append(f"| {task} | {name} | {test:.4f} ({each}) | {steps:.0f} | {seconds:.0f} |")
            print(lines[-1], flush=True)
            usual = usual or test
            report.add(f"{name}, {task}", "quick", test / usual, "test metric, above 1: it pays")
    report.save(arguments.json)
    if arguments.json is not None:
        table = "\n".join(lines)
        text = f"{__doc__}\n{searches} searches, {STEPS} steps, {machine()}\n\n{table}\n"
        write_atomically(arguments.json.with_suffix(".md"), text)


if __name__ == "__main__":
    main()
