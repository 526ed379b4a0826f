"""How a search ends: `result.json` for programs, and a short table for people."""

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lossforge.experiments.comparison import Scores
from lossforge.experiments.statistics import mean_and_deviation, paired_comparison
from lossforge.methods import Found, State
from lossforge.tasks import Task

NOISE = 0.05
"""p above which a difference is called noise"""


def result_of(
    config: State, task: Task, found: Found, scores: Sequence[Scores], seconds: float
) -> State:
    """Return the content of ``result.json``.

    Args:
        config: of the run.
        task: that was learned.
        found: by the search.
        scores: of the learned loss and of the usual one in the closing comparison.
        seconds: that the run took.
    """
    learned, usual = scores
    return {
        "method": config["method"],
        "task": config["task"],
        "model": config["model"],
        "seed": config["seed"],
        "metric": task.metric,
        "valid": _mean(learned.valid),
        "test": _mean(learned.test),
        "loss": str(found.loss),
        "baseline": {
            "name": usual.name,
            "valid": _mean(usual.valid),
            "test": _mean(usual.test),
            "tests": _finite(usual.test),
        },
        "tests": _finite(learned.test),
        "fitness": found.valid,
        "evaluations": found.evaluations,
        "counts": dict(found.counts),
        "front": [
            {"size": member.size, "fitness": member.valid, "loss": str(member.loss)}
            for member in found.front
        ],
        "compare_steps": config["comparison"]["compare_steps"],
        "seconds": round(seconds, 3),
        "preset": config["preset"],
        "version": config["version"],
    }


def print_report(result: State, path: Path) -> None:
    """Print a run's result for a person."""
    console = Console(highlight=False)
    console.print(f"\nlearned loss: [bold]{result['loss']}[/]", soft_wrap=True)
    if result["front"]:
        console.print(_front(result))
    console.print(_comparison(result))
    console.print(_verdict(result), soft_wrap=True)
    console.print(
        f"{result['evaluations']} candidates trained in {result['seconds']:.0f} s. In your own "
        f'training loop: loss = lossforge.load("{path}")',
        soft_wrap=True,
    )


def _front(result: State) -> Table:
    table = Table(title="best loss of each size, on validation data", title_justify="left")
    table.add_column("size", justify="right")
    table.add_column(result["metric"], justify="right")
    table.add_column("loss", overflow="fold")
    for member in result["front"]:
        table.add_row(str(member["size"]), f"{member['fitness']:.4g}", member["loss"])
    return table


def _comparison(result: State) -> Table:
    baseline = result["baseline"]
    table = Table(
        title=f"{result['metric']} after {result['compare_steps']} steps of training, "
        f"{len(result['tests'])} seeds",
        title_justify="left",
    )
    for heading in ("trained under", "validation", "test", "deviation"):
        table.add_column(heading, justify="left" if heading == "trained under" else "right")
    rows = [
        ("learned loss", result["valid"], result["test"], result["tests"]),
        (baseline["name"], baseline["valid"], baseline["test"], baseline["tests"]),
    ]
    for name, valid, test, tests in rows:
        deviation = mean_and_deviation(_numbers(tests))[1]
        table.add_row(name, _shown(valid), _shown(test), _shown(deviation))
    return table


def _verdict(result: State) -> str:
    """Return what the paired test says, in a sentence."""
    name = result["baseline"]["name"]
    tests, usual = _numbers(result["tests"]), _numbers(result["baseline"]["tests"])
    failed = [who for who, runs in (("the learned loss", tests), (name, usual)) if math.inf in runs]
    if failed:
        return f"training diverged under {' and '.join(failed)}: no fair comparison."
    paired = paired_comparison(tests, usual)
    if paired is None:
        return "one seed is no comparison; raise --compare-seeds."
    better = "better" if paired.mean < 0 else "worse"
    by = f"{abs(paired.mean):.4g} (paired t-test p = {paired.p_t:.2g}, "
    by += f"Wilcoxon p = {paired.p_wilcoxon:.2g})"
    if paired.p_t > NOISE:
        return f"the learned loss cannot be told from {name} on test data: {better} by {by}."
    return f"the learned loss is {better} than {name} on test data by {by}."


def _mean(values: Sequence[float]) -> float | None:
    mean = mean_and_deviation(values)[0]
    return mean if math.isfinite(mean) else None


def _finite(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.inf if value is None else value for value in values]


def _shown(value: float | None) -> str:
    if value is None:
        return "diverged"
    return "-" if math.isnan(value) else f"{value:.4f}"
