"""How long a search takes until it holds a loss that is clearly better than tuned cross-entropy.

    python benchmarks/time_to_quality.py [--quick] [--json PATH] [--data-dir DIR] [--options ...]

Clearly: by 30 % of its test error on digits, and by 10 % on MNIST, both at their best learning
rates, mean over networks of seeds that no search saw. After each generation the fittest loss so far
is tuned and tested; that time is not counted, and nothing of it goes back to the search. Ours is
`EvoMAL.preset("quick")`, which goes on for more generations until it is there. The peer has the
published settings: `EvoMAL.preset("paper")`, whose candidates are trained by the same code, so that
seconds compare searches and not implementations (`benchmarks/search.py` compares those). Training
steps are those of fitness runs. A search that is not there after --cap seconds is given up; the
ratio is then a bound.
"""

import argparse
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from harness import Report
from lossforge.allocator import keep_freed_memory
from lossforge.experiments.benchmark_cell import load_split
from lossforge.experiments.benchmark_entrants import read_options
from lossforge.experiments.comparison import Comparison
from lossforge.losses import Loss, default_loss
from lossforge.methods import EvoMAL
from lossforge.searching import (
    Archive,
    BaseTraining,
    Calibration,
    Calibrator,
    Fitness,
    NullJournal,
    Problem,
    State,
    make_problems,
)

MODEL = "mlp:width=128"
MANY = 1000
"""generations after which ours is given up in any case"""


@dataclass(frozen=True)
class Goal:
    """A task, how long networks train there, and by how much the loss must be better."""

    task: str
    steps: int
    share: float
    seeds: int = 4
    valid_rows: int = 0


GOALS = (Goal("digits", 600, 0.3), Goal("mnist", 800, 0.1, valid_rows=2000))
QUICK = (Goal("digits", 40, 0.01, seeds=1),)
QUICK_OPTIONS = {"population": 3, "generations": 2, "meta_steps": 2, "filter_steps": 20}
QUICK_OPTIONS |= {"fitness_steps": 20}


class Judge:
    """Tells the test error under a loss at its best learning rate."""

    def __init__(self, goal: Goal, problem: Problem):
        self._goal, self._problem = goal, problem

    def __call__(self, loss: Loss) -> float:
        steps, base = self._goal.steps, BaseTraining()
        calibrator = Calibrator(
            Calibration(rival_seeds=1), Fitness(steps), [self._problem], base, 0, NullJournal()
        )
        rate = calibrator.tune("loss", loss).learning_rate
        compare = Comparison(compare_seeds=self._goal.seeds, compare_steps=steps)
        base = replace(base, learning_rate=rate)
        (scores,) = compare({"loss": loss}, self._problem, base, 10**6, progress=lambda *_: None)
        return fmean(scores.test)


class OverError(Exception):
    """Ends a search."""


class Watch:
    """A journal that tests the fittest loss after each generation, off the clock."""

    def __init__(self, judge: Callable[[Loss], float], wanted: float, cap: float):
        self._judge, self._wanted, self._cap = judge, wanted, cap
        self._began, self._paused = time.perf_counter(), 0.0
        self._last = ""
        self.best, self.steps, self.is_there = math.inf, 0, False

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began - self._paused

    def restore(self) -> None: ...

    def progress(self, stage: str, done: int, total: int) -> None: ...

    def checkpoint(self, state: State, entry: State) -> None:
        self.steps = entry["counts"]["training steps"]
        if fittest := Archive.from_state(state["archive"]).complete()[:1]:
            self.look(fittest[0].loss)
        if self.seconds > self._cap:
            raise OverError

    def look(self, loss: Loss) -> None:
        if str(loss) == self._last:
            return
        self._last, paused = str(loss), time.perf_counter()
        self.best = min(self.best, self._judge(loss))
        self._paused += time.perf_counter() - paused
        print(f"  {self.seconds:6.1f} s, {self.steps} steps: {self.best:.4f} {loss}", flush=True)
        if self.best <= self._wanted:
            self.is_there = True
            raise OverError


def search(method: EvoMAL, problem: Problem, watch: Watch) -> tuple[float, Watch]:
    try:
        found = method.run(problem.task, MODEL, 0, journal=watch)
        watch.look(found.loss)
    except OverError:
        pass
    return watch.seconds, watch


def measure(goal: Goal, arguments: argparse.Namespace, report: Report) -> None:
    folder = None if arguments.data_dir is None else str(arguments.data_dir)
    task = load_split(goal.task, 0, 0, goal.valid_rows, folder, "cpu")
    (problem,) = make_problems(task, MODEL)
    judge = Judge(goal, problem)
    usual = judge(default_loss(task.kind))
    wanted = (1 - goal.share) * usual
    report.note(f"{goal.task}: tuned cross-entropy", usual, "test error")
    report.note(f"{goal.task}: wanted", wanted, "test error")
    options: dict[str, Any] = {"generations": MANY, **read_options(arguments.options)}
    peer_options: dict[str, Any] = {}
    if arguments.quick:
        options, peer_options = QUICK_OPTIONS, QUICK_OPTIONS | {"fitness_steps": 30}
    spent = {}
    for name, method in (
        ("ours", EvoMAL.preset("quick").with_options(**options)),
        ("published settings", EvoMAL.preset("paper").with_options(**peer_options)),
    ):
        print(f"{goal.task}, {name}:")
        seconds, watch = search(method, problem, Watch(judge, wanted, arguments.cap))
        spent[name] = seconds, max(1, watch.steps), watch.is_there
        reached = "reached" if watch.is_there else "not reached"
        report.note(f"{goal.task}: {name}, {reached}", seconds, "s")
        report.note(f"{goal.task}: {name}, {reached}", watch.steps, "training steps")
        report.note(f"{goal.task}: {name}, best", watch.best, "test error")
    ours, peer = spent["ours"], spent["published settings"]
    bound = "" if peer[2] else ", at least"
    known = "" if ours[2] else ", goal not reached"
    for index, unit in enumerate(("seconds", "training steps")):
        name = f"{goal.task}: {unit} to {goal.share:.0%} less error{bound}{known}"
        report.add(name, "published settings", peer[index] / ours[index], f"{unit}, above 1")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small goal on digits alone")
    parser.add_argument("--json", type=Path, default=None, help="where the figures are saved")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("LOSSFORGE_DATA"))
    parser.add_argument("--cap", type=float, default=1200, help="seconds for each search")
    parser.add_argument(
        "--options", nargs="*", default=[], help="of our search: population=24 fitness_steps=300"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    report = Report()
    for goal in QUICK if arguments.quick else GOALS:
        if goal.task == "mnist" and arguments.data_dir is None:
            print("mnist is left out: it needs --data-dir")
            continue
        measure(goal, arguments, report)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
