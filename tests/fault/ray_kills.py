"""Searches on a Ray cluster whose workers are killed end as undisturbed ones.

    RAY_worker_niceness=0 python tests/fault/ray_kills.py [--kills 50] [--seed 0] [--workers 2]

SIGKILL of a worker that computes, at random moments; each line of output says how many were killed
and in how many searches, whose results were those of a search in this process.
"""

import argparse
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lossforge as lf
from lossforge.searching.executors import Executor, Here

SEARCH = {
    **{"population": 8, "generations": 2, "fitness_steps": 300, "filter_steps": 10},
    **{"meta_steps": 5, "stacking": "separate", "finalists": 2},
}

AT_WORK = b"ray::_compute"
"""title of a worker of Ray that computes a job"""

SECONDS_BETWEEN_KILLS = (0.5, 4.0)
"""so that no job loses its worker three times"""


def searched(executor: Executor) -> tuple[Any, ...]:
    """Return what a search finds, and what it counted."""
    method = lf.EvoMAL().with_options(**SEARCH)
    found = method.run("iris", "mlp:width=16", 0, progress=False, executor=executor)
    weights = {name: value.tolist() for name, value in found.loss.weights().items()}
    return found.valid, weights, dict(found.counts), str(found.loss)


def workers_of(process: int) -> list[int]:
    """Return the workers that compute among the descendants of a process."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])

    def is_below(child: int) -> bool:
        while child in parents and child != process:
            child = parents[child]
        return child == process

    found = []
    for child in parents:
        with suppress(OSError):
            title = Path(f"/proc/{child}/cmdline").read_bytes()
            if title.startswith(AT_WORK) and is_below(child):
                found.append(child)
    return found


@contextmanager
def killer(kills: int, draw: random.Random) -> Iterator[list[int]]:
    """Kill workers at random moments inside the block; yields the numbers of those killed."""
    killed, over = list[int](), threading.Event()

    def run() -> None:
        while len(killed) < kills and not over.wait(draw.uniform(*SECONDS_BETWEEN_KILLS)):
            while not over.wait(0.005) and not (found := workers_of(os.getpid())):
                pass
            if not over.is_set():
                time.sleep(draw.uniform(0, 0.1))
                with suppress(ProcessLookupError):
                    victim = draw.choice(found)
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def main() -> None:
    """Kill workers until there were enough, and compare every search."""
    from lossforge.searching.executors.ray_cluster import RayCluster

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the victims")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    expected, searches, draw = searched(Here()), 0, random.Random(arguments.seed)
    with (
        RayCluster(arguments.workers) as executor,
        killer(arguments.kills, draw) as killed,
    ):
        while len(killed) < arguments.kills:
            found, searches = searched(executor), searches + 1
            if found != expected:
                raise SystemExit(f"another result in search {searches}, after {len(killed)} kills")
            print(f"{len(killed)} kills in {searches} searches: the same results", flush=True)


if __name__ == "__main__":
    main()
