"""How much faster a search gets with 8 to 1,024 workers, simulated from measured trials.

A generation is a number of candidates. Each is tuned, then its network is trained until racing
stops it or to the end; the lengths are those of a real search. Workers take the next candidate
when they are free, and a generation ends with its last candidate: what is lost is idle time at
that barrier, and the part that one process does alone.

    python benchmarks/scaling_simulation.py [--figure docs/images/scaling.png] [--json PATH]
"""

import argparse
import heapq
import json
import random
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

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
        population: candidates of a generation that are trained.
        tuning: how long a candidate is tuned before its network is trained.
        serial: what one process does alone for each candidate: ask, filter, tell.
        racing: whether trials are stopped early, as measured; else all go to the end.
    """

    population: int
    tuning: float = 1.0
    serial: float = 0.001
    racing: bool = True

    def generation(self, draw: random.Random) -> list[float]:
        """Return how long each candidate of a generation takes."""
        lengths = [draw.choice(MEASURED) if self.racing else 1.0 for _ in range(self.population)]
        # Machines are not quite alike, nor are networks under different losses.
        return [(self.tuning + length) * draw.lognormvariate(0, 0.1) for length in lengths]

    def seconds(self, workers: int, seed: int = 0) -> float:
        """Return how long the search takes, in whole fitness runs."""
        draw = random.Random(seed)
        total = 0.0
        for _ in range(GENERATIONS):
            total += self.serial * self.population + makespan(self.generation(draw), workers)
        return total

    def speed_up(self, workers: int) -> float:
        """Return how many times as fast so many workers are as one."""
        return self.seconds(1) / self.seconds(workers)


def makespan(jobs: list[float], workers: int) -> float:
    """Return when the last job ends, each being begun by the first worker that is free."""
    free = [0.0] * workers
    for job in jobs:
        heapq.heappush(free, heapq.heappop(free) + job)
    return max(free)


def rows() -> list[dict[str, float | str]]:
    found: list[dict[str, float | str]] = []
    for population in POPULATIONS:
        for workers in WORKERS:
            speed_up = Search(population).speed_up(workers)
            found.append(
                {
                    "name": f"population {population}, {workers} workers",
                    "peer": "1 worker, simulated",
                    "ratio": speed_up,
                    "unit": "times as fast, above 1 is better",
                    "idle": 1 - speed_up / workers,
                }
            )
    return found


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
    print(f"{'population':>10} | " + " ".join(f"{workers:>7}" for workers in WORKERS) + "  workers")
    for start in range(0, len(found), len(WORKERS)):
        line = found[start : start + len(WORKERS)]
        speeds = " ".join(f"{row['ratio']:7.1f}" for row in line)
        print(f"{POPULATIONS[start // len(WORKERS)]:>10} | {speeds}  times as fast")
        idle = " ".join(f"{100 * float(row['idle']):7.0f}" for row in line)
        print(f"{'':>10} | {idle}  % of the time idle")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    if arguments.figure is not None:
        draw_figure(arguments.figure)


if __name__ == "__main__":
    main()
