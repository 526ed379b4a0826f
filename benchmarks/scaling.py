"""Workers against one, on real trainings: how much faster, with the same results.

Run on a quiet machine: both sides of a ratio follow one another, and a busy machine distorts it.
The pools are started before the clock is. Where Ray is installed, its cluster on this machine is
measured, too. The last row is about a busy machine: PyTorch's default number of threads against
the program's one, beside another process that computes.

    python benchmarks/scaling.py [--quick] [--json PATH] [--row search [load ...]]
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness import Report, median_ratio, parse_arguments, seconds
from lossforge.experiments.arguments import GivenLoss, GivenTask
from lossforge.experiments.compare_run import CompareExperiment, TrainCell
from lossforge.experiments.grid import Cell, Grid
from lossforge.extras import has_extra
from lossforge.losses import CrossEntropy, Focal, LabelSmoothing, SparseLSR
from lossforge.methods import AdaLFL, BaseTraining, EvoMAL
from lossforge.searching import Fitness, NullJournal, make_problems
from lossforge.searching.executors import Executor, Here, LocalPool, limited_threads
from lossforge.searching.fitness_work import FitnessJob, ProblemWork
from lossforge.tasks import load
from lossforge.training.full import Recipe

FASTER = "times as fast, above 1 is better"

Run = Callable[[Executor], object]


def candidates(steps: int) -> Run:
    """Return fitness runs of eight losses on digits with the network of 2 x 1000."""
    problems = tuple(make_problems(load("digits"), "mlp:width=1000,depth=2"))
    smoothed = [LabelSmoothing(0.05 * i) for i in range(1, 5)]
    losses = (CrossEntropy(), Focal(), *smoothed, SparseLSR(), Focal(1.0))
    job = FitnessJob(losses, Fitness(steps, racing=False), BaseTraining(), 0)
    work, jobs = ProblemWork(problems), list(job.split(problems))
    return lambda executor: list(executor.map(work, jobs))


def search(steps: int) -> Run:
    """Return a search on digits with the network of 2 x 1000: generations, tuning, finalists."""
    task = load("digits")
    method = EvoMAL.preset("quick").with_options(
        **{"population": 16, "generations": 2, "fitness_steps": steps, "filter_steps": 20},
        **{"search_width": 0, "meta_steps": 4, "horizon": 2, "finalists": 4, "final_kept": 2},
    )

    def run(executor: Executor) -> object:
        found = method.run(
            task, "mlp:width=1000,depth=2", 0, journal=NullJournal(), executor=executor
        )
        return found.valid, str(found.loss), dict(found.counts)

    return run


def grid(steps: int) -> Run:
    """Return a grid of `compare`: three losses, four seeds."""
    experiment = comparison(steps)
    work = TrainCell(experiment)
    cells: list[Cell] = [
        cell
        for entry in experiment.grid.entries()
        for cell in experiment.grid.cells(*entry, experiment.grid.recipe.learning_rate)
    ]
    return lambda executor: list(executor.map(work, cells))


def comparison(steps: int) -> CompareExperiment:
    names = ("cross_entropy", "focal", "label_smoothing")
    settings = Grid(
        *(names, ("digits",), ("mlp:width=256",), 4, 0, Recipe(steps=steps), AdaLFL()),
        *("valid", "none", (), 1),
    )
    task = GivenTask("digits", load("digits"), "cpu", None)
    losses = {name: GivenLoss(name) for name in names}
    models = {name: name for name in settings.models}
    return CompareExperiment(settings, {"digits": task}, models, losses, "quick")


def ratio(run: Run, one: Executor, many: Executor, repeats: int) -> float:
    """Return how many times as fast many workers are; the results must be the same."""
    assert run(one) == run(many), "results differ between executors"
    turns = [(seconds(lambda: run(one)), seconds(lambda: run(many))) for _ in range(repeats)]
    return median_ratio([a for a, _ in turns], [b for _, b in turns])


def spin() -> None:
    while True:
        pass


@contextmanager
def competing_load() -> Iterator[None]:
    """Keep one core busy inside the block."""
    process = multiprocessing.get_context("spawn").Process(target=spin, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def under_load(run: Run, repeats: int) -> tuple[float, float]:
    """Return how many times as fast as PyTorch's default threads, beside another process.

    First the program as it starts by itself (a worker of one thread for each core), then one
    thread alone.
    """
    cores = os.cpu_count() or 1
    turns: list[tuple[float, float, float]] = []
    with LocalPool(cores) as pool, competing_load():
        run(pool)  # the workers start before the clock does
        for _ in range(repeats):
            with limited_threads(cores):
                default = seconds(lambda: run(Here()))
            turns.append((default, seconds(lambda: run(pool)), seconds(lambda: run(Here()))))
    default_seconds, workers, one = zip(*turns, strict=True)
    return median_ratio(default_seconds, workers), median_ratio(default_seconds, one)


WORKS: dict[str, tuple[str, Callable[[int], Run]]] = {
    "candidates": ("8 candidates, 2 x 1000 on digits", lambda scale: candidates(10 * scale)),
    "search": ("search, 2 x 1000 on digits", lambda scale: search(8 * scale)),
    "grid": ("compare, 3 losses x 4 seeds", lambda scale: grid(100 * scale)),
}
LOAD = "load"
ROWS = (*WORKS, *(f"ray-{name}" for name in WORKS), LOAD)


def add_row(report: Report, row: str, repeats: int, scale: int) -> None:
    """Measure one row."""
    if row == LOAD:
        workers, one = under_load(grid(25 * scale), repeats)
        peer = "PyTorch's default"
        report.add("a worker a core, beside a busy process", peer, workers, FASTER, "4")
        report.add("1 thread, beside a busy process", peer, one, FASTER)
        return
    name, work = WORKS[row.removeprefix("ray-")]
    run = work(scale)
    if not row.startswith("ray-"):
        with LocalPool(1) as one, LocalPool(2) as two:
            found = ratio(run, one, two, repeats)
        report.add(f"{name}: 2 workers", "1 worker", found, FASTER, "1.7")
        return
    from lossforge.searching.executors.ray_cluster import RayCluster

    with LocalPool(1) as one, RayCluster(2) as cluster:
        found = ratio(run, one, cluster, repeats)
    report.add(f"{name}: Ray, 2 workers", "1 worker", found, FASTER, "1.5")


def main() -> None:
    arguments = parse_arguments(__doc__.splitlines()[0], rows=ROWS)
    report = Report()
    repeats, scale = (1, 1) if arguments.quick else (5, 4)
    every = [row for row in ROWS if has_extra("ray") or not row.startswith("ray-")]
    with limited_threads(1):
        for row in arguments.row or every:
            add_row(report, row, repeats, scale)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
