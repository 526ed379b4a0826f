"""25 random trees on [128, 10] pairs: value plus the hypergradient's mixed second derivative.

    python benchmarks/expressions.py [--quick] [--json PATH]

One program for all trees against the trees one by one: each evaluated node by node with PyTorch and
differentiated twice by autograd, as a search over single losses does. The slope alone, which every
training step needs, is measured likewise.
"""

import statistics
from collections.abc import Sequence
from functools import partial
from random import Random

import torch
from torch import Tensor

from harness import Report, interleaved, median_ratio, parse_arguments
from lossforge.losses.expression import Expression, Program, evaluate, ramped_half_and_half

TREES, ROWS, OUTPUTS = 25, 128, 10


def sequential_slope(trees: Sequence[Expression], y: Tensor, p: Tensor) -> list[Tensor]:
    found = []
    for tree in trees:
        leaf = p.clone().requires_grad_()
        value = evaluate(tree, y, leaf, torch.ones(tree.size)).sum()
        found += torch.autograd.grad(value, leaf)
    return found


def sequential_mixed(
    trees: Sequence[Expression], y: Tensor, p: Tensor, tangent: Tensor
) -> list[Tensor]:
    found = []
    for tree in trees:
        leaf = p.clone().requires_grad_()
        coefficients = torch.ones(tree.size, requires_grad=True)
        value = evaluate(tree, y, leaf, coefficients).sum()
        (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
        found += torch.autograd.grad((slope * tangent).sum(), coefficients, materialize_grads=True)
    return found


def candidates(source: Random) -> list[Expression]:
    """Return random trees that a search would keep: those of both arguments."""
    trees: list[Expression] = []
    while len(trees) < TREES:
        trees += [t for t in ramped_half_and_half(TREES, 2, 6, source) if t.has_both_inputs]
    return trees[:TREES]


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    report = Report()
    draws = 2 if arguments.quick else 10
    repeats = 5 if arguments.quick else 21
    ratios: dict[str, list[float]] = {"value, slope and mixed": [], "value and slope": []}
    for seed in range(draws):
        trees = candidates(Random(seed))
        generator = torch.Generator().manual_seed(seed)
        y, p, tangent = torch.rand(3, ROWS, OUTPUTS, generator=generator)
        program, ones = Program(trees), torch.ones(TREES, max(tree.size for tree in trees))
        pairs = {
            "value, slope and mixed": (
                partial(program.mixed, y, p, tangent, ones),
                partial(sequential_mixed, trees, y, p, tangent),
            ),
            "value and slope": (
                partial(program.slope, y, p, ones),
                partial(sequential_slope, trees, y, p),
            ),
        }
        for name, (ours, peer) in pairs.items():
            times = interleaved({"ours": ours, "peer": peer}, repeats)
            ratios[name].append(median_ratio(times["ours"], times["peer"]))
    goals = {"value, slope and mixed": "<= 0.2 (5x faster)", "value and slope": ""}
    for name, found in ratios.items():
        report.add(
            f"{TREES} trees: {name}", "one by one", statistics.median(found), goal=goals[name]
        )
    report.save(arguments.json)


if __name__ == "__main__":
    main()
