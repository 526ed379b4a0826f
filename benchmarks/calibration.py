"""Networks trained under SparseLSR, label smoothing and cross-entropy: error and calibration.

    python benchmarks/calibration.py --data-dir DIR [--quick] [--json PATH]

MNIST with a network of 2x128, and the first 10,000 training rows of CIFAR-10 with LeNet-5; five
seeds from the same initializations and batches; the weights that did best on validation data, on
test data once. The table goes beside the JSON as Markdown.
"""

from dataclasses import replace
from statistics import fmean, stdev

import torch

from harness import Report, first_rows, machine, parse_arguments
from lossforge.analysis.calibration import calibration_error
from lossforge.files import write_atomically
from lossforge.methods import AdaLFL
from lossforge.methods.training_config import TrainingConfig
from lossforge.tasks import Task, load
from lossforge.training.full import Recipe

LOSSES = ("cross_entropy", "label_smoothing:smoothing=0.1", "sparse_lsr:smoothing=0.1")
TRAININGS = {"mnist": ("mlp:width=128", 1500), "cifar10": ("lenet", 500)}
ROWS = 10_000


@torch.no_grad()
def outputs_of(model: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    model.eval()
    return torch.cat([model(rows) for rows in inputs.split(1000)])


def trained(task: Task, model: str, loss: str, steps: int, seed: int) -> tuple[float, float]:
    """Return test error and calibration error of one network."""
    config = TrainingConfig(loss, Recipe(steps=steps, check_every=max(1, steps // 6)), AdaLFL())
    training = config.begin(task, model, seed, None)
    outcome = training.run(lambda: None, lambda *_: None)
    outputs = outputs_of(training.model, task.test.inputs)
    return outcome.test, calibration_error(outputs, task.test.targets)


def main() -> None:
    arguments = parse_arguments(__doc__ or "", data=True)
    trainings = {"digits": ("mlp:width=16", 30)} if arguments.quick else TRAININGS
    seeds = 2 if arguments.quick else 5
    lines = ["| task | loss | test error | calibration error |", "|---|---|---:|---:|"]
    report = Report()
    for name, (model, steps) in trainings.items():
        task = load(name, data_dir=arguments.data_dir)
        if name == "cifar10":
            task = replace(task, train=first_rows(task.train, ROWS))
        means = {}
        for loss in LOSSES:
            found = [trained(task, model, loss, steps, 100 + seed) for seed in range(seeds)]
            error, calibration = ([row[i] for row in found] for i in (0, 1))
            means[loss] = fmean(error), fmean(calibration)
            shown = (f"{fmean(v):.4f} ± {stdev(v):.4f}" for v in (error, calibration))
            lines.append(f"| {name}, {model}, {steps} steps | {loss} | {' | '.join(shown)} |")
            print(lines[-1], flush=True)
        _, common, sparse = (means[loss] for loss in LOSSES)
        report.add(f"sparse_lsr, {name}", "label_smoothing", sparse[0] / common[0], "test error")
        ratio = sparse[1] / common[1]
        report.add(f"sparse_lsr, {name}", "label_smoothing", ratio, "calibration error")
    report.save(arguments.json)
    if arguments.json is not None:
        table = "\n".join(lines)
        text = f"{__doc__}\n{seeds} seeds, {machine()}\n\n{table}\n"
        write_atomically(arguments.json.with_suffix(".md"), text)


if __name__ == "__main__":
    main()
