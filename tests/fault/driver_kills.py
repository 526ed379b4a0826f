"""Searches whose process is killed again and again, and resumed, end as if nothing had happened.

    python tests/fault/driver_kills.py [--kills 50] [--seed 0] [--workers 1] [--islands 2]

Each process is forked from one that has loaded PyTorch: killed after a random time, it has done
something, and the next one starts at once.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fault.commands import COMMANDS, fork_workers, load_modules, load_modules_of
from fault.harness import attempt, begin, is_alone, outcome, wait

SEARCH = [*COMMANDS["search evomal"], "--generations", "3"]


ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT
"""whether a process has ended, which `wait` is still to learn"""


class FailureError(Exception):
    """A search that was killed did not end as an undisturbed one."""


def killed_search(
    words: list[str], workers: list[str], folder: Path, draw: random.Random, longest: float
) -> int:
    """Carry out a search whose process is killed at random moments; return how often it was.

    Args:
        words: of the command, without the folder of the run.
        workers: words that say how many there are.
        folder: of this search alone; the run is "run" in it.
        draw: of the moments.
        longest: seconds until a kill, at most.

    Raises:
        FailureError: a process ended by itself with an error, or a worker outlived it.
    """
    kills = 0
    while True:
        # A process that was killed before it kept its settings leaves nothing to resume.
        has_begun = (folder / "run" / "config.json").exists()
        command = ["resume", "run"] if has_begun else [*words, "--out", "run"]
        process, output = begin([*command, *workers], folder)
        kill_after(draw.uniform(0, longest), process)
        ending = wait((process, output))
        if not is_alone(process):
            raise FailureError("a worker outlived its run")
        if ending.status == 0:
            return kills
        if ending.status is not None:
            raise FailureError(f"status {ending.status}: {ending.said[-500:]}")
        kills += 1


def kill_after(seconds: float, process: int) -> None:
    """Kill a process after so many seconds, unless it has ended by then."""
    end = time.monotonic() + seconds
    while os.waitid(os.P_PID, process, ENDED) is None:
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            return
        time.sleep(0.002)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--islands", type=int, default=2)
    arguments = parser.parse_args()
    fork_workers()
    load_modules()
    draw, kills, searches = random.Random(arguments.seed), 0, 0
    words = [*SEARCH, "--islands", str(arguments.islands)]
    workers = ["--workers", str(arguments.workers)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        load_modules_of([*words, "--out", "warm-up"], folder)
        began = time.monotonic()
        ending = attempt([*words, "--out", "whole"], folder)
        seconds = time.monotonic() - began
        if ending.status != 0:
            raise FailureError(ending.said[-500:])
        expected = outcome(folder / "whole")
        while kills < arguments.kills:
            own = folder / f"search-{searches}"
            own.mkdir()
            began = time.monotonic()
            survived = killed_search(words, workers, own, draw, seconds / 2)
            if survived == 0:
                # The machine is less busy than it was: kills must come earlier.
                seconds = min(seconds, time.monotonic() - began)
            kills += survived
            searches += 1
            if outcome(own / "run") != expected:
                raise FailureError(f"another result in search {searches}, after {kills} kills")
            # A line each: a call that is cut short says how far it came.
            print(f"{kills} kills in {searches} searches: the same results", flush=True)


if __name__ == "__main__":
    main()
