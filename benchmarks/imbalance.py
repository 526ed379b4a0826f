"""F1 and AUROC under imbalance: learned losses against weighted cross-entropy and focal losses.

    python benchmarks/imbalance.py [--quick] [--json PATH]

Real digits (MNIST where LOSSFORGE_DATA has it, else scikit-learn's small ones), of which 3 percent
are eights: is it one? A search optimizes the metric itself, and its candidates weigh the classes as
the best handcrafted loss does. The handcrafted losses are tried at several learning rates, with
focal gammas 1, 2 and 5 and with class weights, as in every search for such a metric. All networks
are trained from fresh seeds. The ratio is the test metric under the learned loss at its best rate
to that under the best handcrafted loss at its best rate, each chosen on validation data; the peer
is named in the row.
"""

from itertools import product
from statistics import fmean

import numpy as np
from sklearn.datasets import load_digits

import lossforge as lf
from harness import Report, parse_arguments
from lossforge.errors import DataError
from lossforge.tasks import Task

SHARE = 0.03
ROWS = {"train": 4000, "valid": 4000, "test": 8000}
METRICS = ("f1", "auroc")
QUICK = {"population": 4, "generations": 1, "fitness_steps": 10, "finalists": 1}
QUICK |= {"compare_steps": 20, "compare_seeds": 2, "rival_steps": 12}
FULL = {"population": 24, "generations": 4, "fitness_steps": 300, "rival_steps": 300}
FULL |= {"compare_steps": 600, "compare_seeds": 3, "rival_runs": 3}
UNIT = "test metric over that of the best handcrafted loss, above 1 is better"


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return pictures [N, pixels] and which of them are eights."""
    try:
        task = lf.tasks.load("mnist")
    except DataError:
        small = load_digits()
        return small.data, small.target == 8
    splits = (task.train, task.valid, task.test)
    pictures = np.concatenate([split.inputs[:, :, ::2, ::2].flatten(1).numpy() for split in splits])
    return pictures, np.concatenate([split.targets.numpy() == 8 for split in splits])


def rare(pictures: np.ndarray, is_eight: np.ndarray, seed: int) -> Task:
    """Return a task with few eights; each picture is in one split."""
    draw = np.random.default_rng(seed)
    others, eights = (draw.permutation(np.flatnonzero(is_eight == each)) for each in (False, True))
    total = min(sum(ROWS.values()), int(len(others) / (1 - SHARE)))
    parts, used = [], [0, 0]
    for rows in ROWS.values():
        size = total * rows // sum(ROWS.values())
        counts = (size - round(SHARE * size), round(SHARE * size))
        chosen = [
            source[start : start + count]
            for source, start, count in zip((others, eights), used, counts, strict=True)
        ]
        used = [start + count for start, count in zip(used, counts, strict=True)]
        numbers = np.concatenate(chosen)
        parts.append((pictures[numbers], is_eight[numbers].astype(np.int64)))
    (inputs, labels), valid, test = parts
    return Task.from_arrays(
        inputs, labels, kind="classification", valid=valid, test=test, name="eights"
    )


def main() -> None:
    """Print the ratio for each metric and seed."""
    arguments = parse_arguments(__doc__)
    report, given = Report(), digits()
    seeds = range(1 if arguments.quick else 3)
    ratios: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for metric, seed in product(METRICS, seeds):
        task = rare(*given, seed)
        found = lf.search(
            "evomal",
            task,
            "mlp:width=32",
            metric=metric,
            seed=seed,
            progress=False,
            learning_rate=0.03,
            **(QUICK if arguments.quick else FULL),
        )
        print(f"\n{metric}, seed {seed}: {found.loss}", flush=True)
        print(f"{found.rivals_table().plain(100)}\n{found.recommendation()}", flush=True)
        best = max(found.rivals, key=lambda row: row["valid"] or 0)
        tuned = found.result["tuned"]
        ratios[metric].append(tuned["test"] / best["test"])
        name = f"{metric}, seed {seed}: {tuned['test']:.3f}"
        report.add(name, f"{best['name']} {best['test']:.3f}", ratios[metric][-1], UNIT, "1.00")
        report.save(arguments.json)
    for metric, found_ratios in ratios.items():
        report.note(f"{metric}: mean ratio", fmean(found_ratios), "")
    report.save(arguments.json)


if __name__ == "__main__":
    main()
