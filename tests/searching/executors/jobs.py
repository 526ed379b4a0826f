"""Functions that workers compute; they import this module by its name."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lossforge.errors import DataError
from lossforge.searching.executors import LocalPool


def square(job: int, report: Any) -> int:
    report("training", 1, 2)
    report("training", 2, 2)
    return job * job


@dataclass(frozen=True)
class Shared:
    """A function that shares data."""

    data: torch.Tensor

    def __call__(self, job: int, report: Any) -> tuple[int, float, int]:
        return os.getpid(), float(self.data.sum()) + job, torch.get_num_threads()


@dataclass(frozen=True)
class Faulty:
    """Fails in a way of its own, until a job's mark files are there."""

    folder: Path
    how: str
    times: int

    def __call__(self, job: int, report: Any) -> int:
        marks = list(self.folder.glob(f"{job}-*"))
        if job == 1 and len(marks) < self.times:
            (self.folder / f"{job}-{len(marks)}").touch()
            match self.how:
                case "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "hung":
                    time.sleep(600)
                case "memory":
                    raise MemoryError("no more")
                case "torch memory":
                    torch.empty(1 << 60)
                case "error":
                    raise DataError("the data are wrong")
                case "own error":
                    raise _OwnError(lambda: 1)
        return 10 * job


class _OwnError(Exception):
    """Cannot be pickled."""


def leave(job: int, report: Any) -> None:
    time.sleep(600)


def end_pool_of_two() -> None:
    """Print the process numbers of two workers, give them work, and die."""
    pool = LocalPool(2)
    list(pool.map(square, [1, 2]))
    print(*pool.pids, flush=True)
    next(iter(pool.map(Dying(os.getpid()), [1, 2])))


@dataclass(frozen=True)
class Dying:
    """Kills the pool's process, and goes on."""

    pid: int

    def __call__(self, job: int, report: Any) -> None:
        if job == 1:
            os.kill(self.pid, signal.SIGKILL)
        time.sleep(600)


DEADLY = ("TuningJob-0", "RungJob-10", "FitnessJob-0")
"""local search, the second rung of a generation, and the finalists"""


@dataclass(frozen=True)
class Deadly:
    """Work whose first jobs of some kinds kill their worker, once."""

    work: Any
    folder: Path

    def __call__(self, job, report):
        name = f"{type(job).__name__}-{getattr(job, 'until', 0)}"
        mark = self.folder / name
        if name in DEADLY and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.work(job, report)
