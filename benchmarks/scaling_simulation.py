"""How much faster a search gets with 8 to 1,024 workers, simulated from measured trials.

A generation is a number of candidates on each island, in the chunks that the library makes of them:
one network each, or stacks. Either each is tuned, and its network is trained until racing stops it,
with lengths of a real search; or halving keeps a share of all at each rung. Workers take the next
chunk when they are free. All wait for each other after tuning, at each rung and at the end: what is
lost is idle time at these barriers, and the part that one process does alone.

    python benchmarks/scaling_simulation.py [--figure docs/images/scaling.png] [--json PATH]
"""

import argparse
import heapq
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, repeat
from pathlib import Path

from lossforge.searching.fitness import HALVING_RUNGS, LEAST_KEPT
from lossforge.searching.fitness_work import (
    LARGEST_STACK,
    UNDIVIDED,
    UNDIVIDED_SURVIVORS,
    divided,
)

MEASURED = (*repeat(0.1, 26), *repeat(0.2, 20), *repeat(1.0, 16))
"""lengths of trials as shares of the fitness steps: the 62 trials of EvoMAL's quick preset on
digits with mlp:width=128, seed 0, where racing stopped 46"""

WORKERS = (8, 16, 32, 64, 128, 256, 512, 1024)
POPULATIONS = (24, 96, 384, 1536)
GENERATIONS = 20


@dataclass(frozen=True)
class Search:
    """A search whose time is simulated, in units of a whole fitness run.

    Attributes:
        population: candidates of an island's generation that are trained.
        islands: whose candidates are evaluated together.
        tuning: how long a candidate is tuned before its network is trained.
        serial: what one process does alone for each candidate: ask, filter, tell.
        halving: share that goes on at each rung; 0 for racing, which stops trials as measured.
        stack: networks that train in one stack at most, which takes as long as one after the other.
    """

    population: int
    islands: int = 1
    tuning: float = 1.0
    serial: float = 0.001
    halving: float = 0.0
    stack: int = 1

    def stages(self, draw: random.Random) -> Iterator[list[float]]:
        """Yield how long each chunk takes, between one barrier of a generation and the next."""
        count = self.population * self.islands
        if self.tuning:
            yield self._chunks([self.tuning] * count, UNDIVIDED, draw)
        if not self.halving:
            yield self._chunks([draw.choice(MEASURED) for _ in range(count)], UNDIVIDED, draw)
            return
        for begin, end in pairwise((0.0, *HALVING_RUNGS, 1.0)):
            undivided = UNDIVIDED_SURVIVORS if begin else UNDIVIDED
            yield self._chunks([end - begin] * count, undivided, draw)
            count = min(count, max(LEAST_KEPT, math.ceil(self.halving * count)))

    def _chunks(self, lengths: list[float], undivided: int, draw: random.Random) -> list[float]:
        # Machines are not quite alike, nor are networks under different losses.
        noisy = [length * draw.lognormvariate(0, 0.1) for length in lengths]
        parts = divided(len(noisy), self.stack, undivided)
        return [sum(noisy[i] for i in part) for part in parts]

    def seconds(self, workers: int, seed: int = 0) -> float:
        """Return how long the search takes, in whole fitness runs."""
        draw = random.Random(seed)
        total = 0.0
        for _ in range(GENERATIONS):
            total += self.serial * self.population * self.islands
            total += sum(makespan(chunks, workers) for chunks in self.stages(draw))
        return total

    def speed_up(self, workers: int) -> float:
        """Return how many times as fast so many workers are as one."""
        return self.seconds(1) / self.seconds(workers)

    def idle(self, workers: int) -> float:
        """Return the share of their time in which workers have nothing to do."""
        return 1 - self.speed_up(workers) / workers


def makespan(jobs: list[float], workers: int) -> float:
    """Return when the last job ends, each being begun by the first worker that is free."""
    free = [0.0] * workers
    for job in jobs:
        heapq.heappush(free, heapq.heappop(free) + job)
    return max(free)


QUICK = Search(48, tuning=0.0, halving=0.34)
"""the quick preset, which tunes finalists only"""

KINDS = {
    "paper, one network a job": Search(25),
    "quick, one network a job": QUICK,
    "quick, stacked": replace(QUICK, stack=LARGEST_STACK),
}
"""searches that are simulated with islands"""

ISLANDS = (1, 4, 16, 64)
ISLAND_WORKERS = (2, 8, 64)


def rows() -> list[dict[str, float | str]]:
    """Return the speed-ups of all searches that are simulated."""
    found = [
        row(f"population {population}", Search(population), workers)
        for population in POPULATIONS
        for workers in WORKERS
    ]
    for kind, search in KINDS.items():
        for islands in ISLANDS:
            name = f"{kind}, {islands} islands of {search.population}"
            several = replace(search, islands=islands)
            found += [row(name, several, workers) for workers in ISLAND_WORKERS]
    return found


def row(name: str, search: Search, workers: int) -> dict[str, float | str]:
    """Return the speed-up and the idle share of a search."""
    return {
        "name": f"{name}, {workers} workers",
        "peer": "1 worker, simulated",
        "ratio": search.speed_up(workers),
        "unit": "times as fast, above 1 is better",
        "idle": search.idle(workers),
    }


def draw_figure(path: Path) -> None:
    from lossforge.analysis.drawing import new_figure

    figure = new_figure(6, 4)
    axes = figure.subplots()
    axes.plot(WORKERS, WORKERS, color="0.7", linestyle=":", label="as many times as workers")
    for population in POPULATIONS:
        speeds = [Search(population).speed_up(workers) for workers in WORKERS]
        axes.plot(WORKERS, speeds, marker="o", markersize=3, label=f"population {population}")
    axes.set(xscale="log", yscale="log", xlabel="workers", ylabel="times as fast as one worker")
    axes.set_xticks(WORKERS, [str(workers) for workers in WORKERS])
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the same: it takes seconds")
    parser.add_argument("--json", type=Path, default=None, help="where the figures are saved")
    parser.add_argument("--figure", type=Path, default=None, help="where the plot is saved")
    arguments = parser.parse_args()
    found = rows()
    for each in found:
        share = 100 * float(each["idle"])
        print(f"{each['name']:>60}: {each['ratio']:7.1f} times as fast, {share:3.0f} % idle")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    if arguments.figure is not None:
        draw_figure(arguments.figure)


if __name__ == "__main__":
    main()
