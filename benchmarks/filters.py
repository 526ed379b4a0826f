"""How often the rejection protocol says the same before and after local search.

    python benchmarks/filters.py [--quick] [--json PATH]

Random expressions are judged with coefficients of one, tuned as the paper does, and judged again.
"""

from dataclasses import replace
from random import Random

from harness import Report, parse_arguments
from lossforge.losses import SymbolicLoss, SymbolicPopulation
from lossforge.losses.expression import ramped_half_and_half
from lossforge.methods import EvoMAL
from lossforge.methods.evomal.filters import fresh_predictions, improves_predictions
from lossforge.searching import make_problems
from lossforge.tasks import load

PAPER = EvoMAL.preset("paper")
DEPTHS = PAPER.genetics.min_depth, PAPER.genetics.max_depth


def _silent(stage: str, done: int, total: int) -> None: ...


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    report = Report()
    steps, count = (50, 40) if arguments.quick else (PAPER.tuning.steps, 200)
    for name in ("digits", "diabetes"):
        task = load(name)
        problems = make_problems(task, "mlp:width=128")
        trees = ramped_half_and_half(4 * count, *DEPTHS, Random(0))
        kept = [tree for tree in trees if tree.has_both_inputs][:count]
        losses = SymbolicPopulation([SymbolicLoss(tree, kind=task.kind) for tree in kept])
        tuned = replace(PAPER.tuning, steps=steps)(losses, problems, PAPER.base, 0, _silent)
        sample = fresh_predictions(problems[0], PAPER.filters.rows, 0)
        before, after = (
            improves_predictions(population, sample, task.kind, PAPER.filters.rejection_steps)
            for population in (losses, tuned)
        )
        agree = sum(a == b for a, b in zip(before, after, strict=True)) / len(before)
        moved = (tuned.coefficients - losses.coefficients).abs().max().item()
        missed = sum(b and not a for a, b in zip(before, after, strict=True)) / len(before)
        report.note(f"{name}: losses judged", len(before), "")
        report.note(f"{name}: rejected before, accepted after", 100 * missed, "%")
        report.note(f"{name}: rejected before", 100 * (1 - sum(before) / len(before)), "%")
        report.note(f"{name}: largest move of a coefficient", moved, "")
        report.add(
            f"{name}: verdict before local search",
            "verdict after local search",
            agree,
            "share that agrees, 1 is best",
        )
    report.save(arguments.json)


if __name__ == "__main__":
    main()
