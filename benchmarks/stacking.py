"""Stacked against separate training of 25 networks, by the size of the network.

    python benchmarks/stacking.py [--quick] [--json PATH]

From these figures `choose_stacking` takes its limit. Below 1, stacking is faster.
"""

from functools import partial

from harness import Report, interleaved, median_ratio, parse_arguments
from lossforge.losses import SymbolicLoss, SymbolicPopulation
from lossforge.searching import BaseTraining, make_problems
from lossforge.tasks import load
from lossforge.training import make_ensemble

POPULATION = 25


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    report = Report()
    task, repeats = load("digits"), 3 if arguments.quick else 15
    losses = SymbolicPopulation([SymbolicLoss("-y*log(p)") for _ in range(POPULATION)])
    widths = [32, 128] if arguments.quick else [32, 64, 128, 256, 384, 512, 1000]
    models = ["linear", *(f"mlp:width={width}" for width in widths)]
    for model in models:
        (problem,) = make_problems(task, model)
        setup = BaseTraining().setup(problem, 0)
        ensembles = {name: make_ensemble(setup, losses, name) for name in ("stacked", "separate")}
        actions = {name: partial(ensemble.advance, 5) for name, ensemble in ensembles.items()}
        times = interleaved(actions, repeats)
        size = sum(theta.numel() for theta in setup.parameters)
        ratio = median_ratio(times["stacked"], times["separate"])
        report.add(f"{model}, {size} parameters: stacked", "separate", ratio)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
