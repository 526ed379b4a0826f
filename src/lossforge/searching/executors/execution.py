"""Where the trainings of an experiment run, and for how long."""

import os
from dataclasses import dataclass
from typing import Literal, final, get_args

import torch

from lossforge.errors import unknown_name
from lossforge.searching.executors.automatic import Automatic
from lossforge.searching.executors.deadline import seconds_of
from lossforge.searching.executors.executor import Executor, Here
from lossforge.searching.executors.pool import LocalPool
from lossforge.validation import require, require_in_range, require_whole

Kind = Literal["local", "ray"]


@final
@dataclass(frozen=True)
class Execution:
    """Where the trainings of an experiment run, and for how long. No result depends on it.

    Raises:
        ConfigurationError: a number is out of its range.

    Examples:
        >>> with Execution(workers=1).open() as executor:
        ...     type(executor).__name__
        'Here'
    """

    workers: int | Literal["auto"] = 1
    """processes that train side by side; auto for one per core, or per GPU, where there is enough
    work for them. The results are the same with any number"""
    executor: Kind = "local"
    """where they run: local for this machine, ray for a Ray cluster"""
    address: str = ""
    """address of a Ray cluster that runs already; by default one is started on this machine"""
    worker_cores: float = 1
    """cores that a training on a Ray cluster reserves"""
    worker_gpus: float = 0
    """GPUs that a training on a Ray cluster reserves; a fraction lets trainings share one"""
    max_time: str = ""
    """time after which the run is interrupted, such as 3h or 1h30m, with exit status 75; it can be
    resumed. By default no limit"""
    trial_timeout: float = 0
    """seconds after which a training is stopped and begun anew, three times at most; 0 for no
    limit"""

    def __post_init__(self) -> None:
        if self.workers != "auto":
            require_whole("workers", self.workers, 1)
        if self.executor not in get_args(Kind):
            raise unknown_name("executor", str(self.executor), get_args(Kind))
        require_in_range("worker_cores", self.worker_cores, 0, exclude_low=True)
        require_in_range("worker_gpus", self.worker_gpus, 0)
        require_in_range("trial_timeout", self.trial_timeout, 0)
        if self.max_time:
            seconds_of(self.max_time)
        is_for_ray = bool(self.address) or self.worker_gpus > 0 or self.worker_cores != 1
        require(
            self.executor == "ray" or not is_for_ray,
            "address, worker_cores and worker_gpus are of a Ray cluster; pass --executor ray",
        )

    def open(self, threads: int | None = 1) -> Executor:
        """Return the executor; use it as a context manager.

        Args:
            threads: of PyTorch in each process; None for as many as this one has.

        Raises:
            MissingPackageError: Ray is asked for and not installed.
        """
        count = torch.get_num_threads() if threads is None else threads
        limit = self.trial_timeout or None
        if self.executor == "ray":
            from lossforge.searching.executors.ray_cluster import RayCluster

            return RayCluster(
                None if self.workers == "auto" else self.workers,
                address=self.address,
                threads=count,
                cores=self.worker_cores,
                gpus=self.worker_gpus,
                limit=limit,
            )
        workers = default_workers() if self.workers == "auto" else self.workers
        # A time limit needs a process that can be killed.
        if workers == 1 and limit is None:
            return Here()
        pool = LocalPool(workers, threads=count, limit=limit)
        return Automatic(pool) if self.workers == "auto" and limit is None else pool


def default_workers() -> int:
    """Return the number of GPUs, or without any that of the cores that this process may use."""
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    return usable_cores()


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
