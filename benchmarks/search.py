"""Candidates per hour of the paper's EvoMAL on digits, against the published recipe.

    python benchmarks/search.py [--quick] [--json PATH]

Ours is `EvoMAL.preset("paper")` for a few of its 50 generations, with the 2x1000 network; once as
it is and once without racing. The peer follows the published recipe in plain PyTorch and `higher`:
one candidate after the other; local search by unrolled differentiation, then the filters, then the
fitness run; a new loader iterator for every batch; a metric that looks at one sample at a time. The
peer is charged for the very candidates that ours met, with the same cache of equal forms and the
same verdicts of the filters. Its costs per step are measured on some of the candidates and scaled
to the published numbers of steps, as the whole would take an hour.
"""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import higher
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from harness import Report, parse_arguments, seconds
from lossforge.losses import SymbolicLoss, SymbolicPopulation
from lossforge.losses.expression import Expression, ramped_half_and_half
from lossforge.methods import EvoMAL
from lossforge.methods.evomal.filters import fresh_predictions, improves_predictions
from lossforge.models import initialize, resolve
from lossforge.searching import BaseTraining, State, make_problems
from lossforge.searching.fitness import Fitness
from lossforge.searching.fitness_work import FitnessJob
from lossforge.searching.meta_training import MetaTraining
from lossforge.tasks import Task, load

PAPER = EvoMAL.preset("paper")


class PublishedRecipe:
    """One candidate at a time, as the papers' text describes it."""

    def __init__(self, task: Task, model: str):
        self.factory = resolve(model, task)
        self.train = TensorDataset(task.train.inputs, task.train.targets)
        self.valid = TensorDataset(task.valid.inputs, task.valid.targets)

    def local_search(self, loss: SymbolicLoss, steps: int) -> None:
        loss.requires_grad_()
        adam = torch.optim.Adam([loss.coefficients], PAPER.tuning.learning_rate)
        for step in range(steps):
            module = initialize(self.factory, step)
            inputs, targets = next(iter(loader(self.train)))
            held_out, truths = next(iter(loader(self.valid)))
            adam.zero_grad()
            with higher.innerloop_ctx(module, descent(module)) as (fast, inner):
                inner.step(loss(fast(inputs), targets))
                F.cross_entropy(fast(held_out), truths).backward()
            adam.step()
        loss.requires_grad_(False)

    def rejection(self, loss: SymbolicLoss, steps: int) -> None:
        inputs, targets = next(iter(loader(self.train, PAPER.filters.rows)))
        with torch.no_grad():
            predictions = initialize(self.factory, 0)(inputs)
        predictions.requires_grad_()
        adam = torch.optim.Adam([predictions], 0.01)
        for _ in range(steps):
            adam.zero_grad()
            loss(predictions, targets).backward()
            adam.step()

    def fitness(self, loss: SymbolicLoss, steps: int) -> float:
        module = initialize(self.factory, 0)
        sgd = descent(module)
        for _ in range(steps):
            inputs, targets = next(iter(loader(self.train)))
            sgd.zero_grad()
            loss(module(inputs), targets).backward()
            sgd.step()
        return self.error(module)

    def error(self, module: nn.Module) -> float:
        wrong = 0
        for inputs, targets in DataLoader(self.valid, PAPER.base.batch_size):
            outputs = module(inputs)
            for output, target in zip(outputs, targets, strict=True):
                wrong += int(output.argmax() != target)
        return wrong / len(self.valid)


def loader(data: TensorDataset, size: int = PAPER.base.batch_size) -> "DataLoader[Tensor]":
    return DataLoader(data, size, shuffle=True)


def descent(module: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(
        module.parameters(),
        PAPER.base.learning_rate,
        PAPER.base.momentum,
        nesterov=PAPER.base.nesterov,
        weight_decay=PAPER.base.weight_decay,
    )


@dataclass
class Costs:
    """Seconds that one candidate costs the published recipe."""

    local_search: float
    rejection: float
    fitness: float


def published_costs(task: Task, model: str, losses: Sequence[SymbolicLoss], steps: int) -> Costs:
    recipe = PublishedRecipe(task, model)
    settings = {
        "local_search": (recipe.local_search, PAPER.tuning.steps),
        "rejection": (recipe.rejection, PAPER.filters.rejection_steps),
        "fitness": (recipe.fitness, PAPER.fitness.steps),
    }
    found = {}
    for name, (stage, published) in settings.items():
        stage(losses[0], 2)
        times = [seconds(lambda loss=loss, stage=stage: stage(loss, steps)) for loss in losses]
        found[name] = statistics.mean(times) / steps * published
    return Costs(**found)


class Watch:
    """A journal that keeps the counts of the last generation."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def restore(self) -> None: ...

    def progress(self, stage: str, done: int, total: int) -> None: ...

    def checkpoint(self, state: State, entry: State) -> None:
        self.counts = Counter(entry["counts"])


def our_search(method: EvoMAL, task: Task, model: str) -> tuple[float, Counter[str]]:
    watch = Watch()
    start = time.perf_counter()
    method.run(task, model, 0, journal=watch)
    return time.perf_counter() - start, watch.counts


def whole_search(quick: bool, report: Report) -> None:
    task, model = load("digits"), "mlp:width=128" if quick else "mlp"
    costs = published_costs(task, model, candidates(task, 3 if quick else 8), 5 if quick else 20)
    report.note("published recipe: local search", costs.local_search, "s a candidate")
    report.note("published recipe: rejection protocol", costs.rejection, "s a candidate")
    report.note("published recipe: fitness", costs.fitness, "s a candidate")
    generations = 2 if quick else 4
    for name, racing in (("paper preset", True), ("paper preset, no racing", False)):
        method = PAPER.with_options(generations=generations, racing=racing)
        spent, counts = our_search(method, task, model)
        fresh = counts["candidates"] - counts["equal in form"]
        peer = fresh * (costs.local_search + costs.rejection) + counts["trained"] * costs.fitness
        hourly = counts["candidates"] * 3600
        report.note(f"{name}: candidates", counts["candidates"], f"in {generations} generations")
        for what in ("equal in form", "equal in gradient", "rejected", "trained"):
            report.note(f"{name}: {what}", counts[what], "candidates")
        report.note(f"{name}: ours", hourly / spent, "candidates an hour")
        report.note(f"{name}: published recipe", hourly / peer, "candidates an hour")
        report.add(
            f"{name}: candidates an hour",
            "published recipe",
            peer / spent,
            "candidates an hour, above 1 is better",
            ">= 8",
        )


def candidates(task: Task, count: int) -> list[SymbolicLoss]:
    """Return random losses that the filters accept."""
    source, found = Random(0), list[SymbolicLoss]()
    sample = fresh_predictions(make_problems(task, "linear")[0], 100, 0)
    while len(found) < count:
        trees: list[Expression] = ramped_half_and_half(25, 2, 4, source)
        losses = [SymbolicLoss(tree) for tree in trees if tree.has_both_inputs]
        good = improves_predictions(SymbolicPopulation(losses), sample, task.kind, 200)
        found += [loss for loss, accepted in zip(losses, good, strict=True) if accepted]
    return found[:count]


def scaling(quick: bool, report: Report) -> None:
    """Cost of a candidate's meta step and training step as one of three sizes changes."""
    task = load("digits")
    losses = candidates(task, 25)
    base = {"population": 25, "batch": 128, "width": 128 if quick else 1000}
    sweeps = {
        "population": [1, 5, 25],
        "batch": [32, 128, 512],
        "width": [32, 128] if quick else [128, 512, 1000, 2000],
    }
    times = {stage: stage_cost(task, losses, stage, base) for stage in STAGES}
    for stage in STAGES:
        report.note(f"{stage}, base setting", 1000 * times[stage], "ms a candidate")
    for size, values in sweeps.items():
        for value, stage in ((value, stage) for value in values for stage in STAGES):
            cost = stage_cost(task, losses, stage, {**base, size: value})
            peer = ", ".join(f"{name} {usual}" for name, usual in base.items())
            report.add(
                f"{stage}, {size} {value}",
                peer,
                cost / times[stage],
                "seconds a candidate, below 1 is better",
            )


def _silent(stage: str, done: int, total: int) -> None: ...


def tune(losses: SymbolicPopulation, problems: list, base: BaseTraining, steps: int) -> object:
    return MetaTraining(steps)(losses, problems, base, 0, _silent)


def train(losses: SymbolicPopulation, problems: list, base: BaseTraining, steps: int) -> object:
    each = tuple(losses.loss(i) for i in range(len(losses)))
    return FitnessJob(each, Fitness(steps, racing=False), base, 0).on(problems, _silent)


STAGES: dict[str, Callable[..., object]] = {"meta step": tune, "training step": train}


def stage_cost(task: Task, losses: list[SymbolicLoss], stage: str, sizes: dict) -> float:
    """Return seconds for one step of one candidate."""
    base = replace(PAPER.base, batch_size=sizes["batch"])
    problems = make_problems(task, f"mlp:width={sizes['width']}")
    population = SymbolicPopulation(losses[: sizes["population"]])
    steps = 10
    STAGES[stage](population, problems, base, 2)
    times = [seconds(lambda: STAGES[stage](population, problems, base, steps)) for _ in range(3)]
    return statistics.median(times) / steps / len(population)


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    report = Report()
    whole_search(arguments.quick, report)
    scaling(arguments.quick, report)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
