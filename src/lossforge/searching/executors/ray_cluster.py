"""An executor on a Ray cluster: Moritz et al., "Ray" (OSDI 2018, arXiv 1712.05889)."""

import os
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import ceil
from typing import Any, final

import torch

from lossforge.allocator import keep_freed_memory
from lossforge.extras import require_extra
from lossforge.searching.executors.executor import (
    Executor,
    GiveUp,
    JobReport,
    JobT,
    Mapping,
    ResultT,
    Work,
    WorkerError,
    ignore,
)
from lossforge.searching.executors.worker import is_out_of_memory

SECONDS_BETWEEN_LOOKS = 0.5
"""at the jobs that are computed, where they have a time limit"""


@final
class RayCluster(Executor):
    """Computes jobs on a Ray cluster; the nodes need this version of lossforge and of PyTorch.

    What the jobs share is put into the object store once, from where each node takes it once. A
    job whose process or node is lost is begun anew elsewhere. Results are the same bytes as on one
    machine if the machines of the cluster are alike.

    Args:
        workers: how many jobs the cluster is given at once; None for as many as have room in it.
        address: of a cluster that runs already; where empty, one is started on this machine.
        threads: of PyTorch in each job.
        cores: that each job reserves.
        gpus: that each job reserves; several jobs share a GPU where this is a fraction.
        limit: seconds that a job may take, the start of its worker included; None for any number.

    Raises:
        MissingPackageError: Ray is not installed.
        WorkerError: the cluster cannot be reached, or has no room for a job.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        address: str = "",
        threads: int = 1,
        cores: float = 1,
        gpus: float = 0,
        limit: float | None = None,
    ):
        require_extra("ray", "a Ray cluster")
        import ray

        self._ray: Any = ray
        self._owns = not ray.is_initialized()
        if self._owns:
            self._connect(address, None if workers is None else ceil(workers * cores))
        self._threads, self._limit = threads, limit
        room = _room(ray.cluster_resources(), cores, gpus)
        if room == 0:
            raise WorkerError(
                f"the Ray cluster has no room for a job of {cores:g} cores and {gpus:g} GPUs; "
                "lower --worker-cores or --worker-gpus"
            )
        self.workers = room if workers is None else workers
        # Retries are counted here, as for other executors: Ray's own would repeat what hangs.
        options = {"num_cpus": cores, "num_gpus": gpus, "max_retries": 0}
        self._remote: Any = ray.remote(**options)(_compute)
        self._shared: tuple[object, Any] | None = None

    def map(
        self,
        work: Work[JobT, ResultT],
        jobs: Sequence[JobT],
        report: JobReport = ignore,
        give_up: GiveUp[JobT, ResultT] | None = None,
    ) -> Iterator[ResultT]:
        """Yield the result of each job, in the order of the jobs."""
        if self._shared is None or self._shared[0] is not work:
            self._shared = (work, self._ray.put(work))
        submit = _Submitter(self._ray, self._remote, self._shared[1], self._threads)
        yield from _Mapping(submit, self.workers, self._limit, jobs, report, give_up).results()

    def close(self) -> None:
        """Leave the cluster, and end one that was started here."""
        self._shared = None
        if self._owns:
            self._ray.shutdown()

    def _connect(self, address: str, cores: int | None) -> None:
        # Nothing about a user's runs goes to Ray's makers, unless the user wants it.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"address": address} if address else {"num_cpus": cores}
        try:
            self._ray.init(log_to_driver=False, logging_level="ERROR", **options)
        except Exception as error:  # Ray raises many kinds
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WorkerError(
                f"the Ray cluster {address or 'on this machine'} cannot be used: {reason}; check "
                "--address"
            ) from None


def _room(resources: dict[str, float], cores: float, gpus: float) -> int:
    """Return how many jobs a cluster can compute at once."""
    rooms = [resources.get("CPU", 0) / cores]
    if gpus:
        rooms.append(resources.get("GPU", 0) / gpus)
    return int(min(rooms))


@lru_cache(maxsize=1)
def _fetch(work: Any) -> Any:
    """Return what a reference to the object store stands for; a process copies it once."""
    import ray

    return ray.get(work)


def _compute(works: list[Any], job: Any, threads: int) -> tuple[str, Any]:
    """Compute a job on a node: its result, or that memory did not suffice."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    try:
        return "done", _fetch(works[0])(job, _silent)
    except Exception as error:
        if is_out_of_memory(error):
            return "exhausted", f"out of memory ({' '.join(str(error).split())[:200]})"
        return "failed", error


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing: the cluster has no way back but results."""


@final
class _Submitter:
    """Gives jobs to the cluster and takes results back."""

    def __init__(self, ray: Any, remote: Any, work: Any, threads: int):
        self._ray, self._remote, self._work, self._threads = ray, remote, work, threads

    def begin(self, job: Any) -> Any:
        """Return the future of a job."""
        # In a list, a reference is not replaced by a copy of the object for each job.
        return self._remote.remote([self._work], job, self._threads)

    def done(self, futures: Sequence[Any], seconds: float | None) -> list[Any]:
        """Wait until one of the futures is there, or so many seconds; return those that are."""
        found: list[Any] = self._ray.wait(futures, num_returns=1, timeout=seconds)[0]
        return found

    def result(self, future: Any) -> tuple[str, Any]:
        """Return what became of a job: "done", "exhausted", "failed" or "lost", and its result."""
        try:
            found: tuple[str, Any] = self._ray.get(future)
        except self._ray.exceptions.RayError as error:
            kinds = (self._ray.exceptions.RayTaskError, self._ray.exceptions.TaskUnschedulableError)
            if isinstance(error, kinds):
                raise
            return "lost", f"its worker was lost ({type(error).__name__})"
        return found

    def cancel(self, future: Any) -> None:
        """End a job at once."""
        self._ray.cancel(future, force=True)


@final
class _Mapping(Mapping):
    """One call of `RayCluster.map`."""

    def __init__(
        self,
        submit: _Submitter,
        workers: int,
        limit: float | None,
        jobs: Sequence[Any],
        report: JobReport,
        give_up: GiveUp[Any, Any] | None,
    ):
        super().__init__(jobs, report, give_up)
        self._submit, self._workers, self._limit = submit, workers, limit
        self._running: dict[Any, int] = {}
        self._began: dict[Any, float] = {}

    def results(self) -> Iterator[Any]:
        """Yield the results in order; end what still runs where no more are wanted."""
        try:
            yield from super().results()
        finally:
            for future in self._running:
                self._submit.cancel(future)

    def go_on(self) -> None:
        """Submit as many jobs as there are workers, and note those that have ended."""
        while self.waiting and len(self._running) < self._workers:
            index = self.waiting.popleft()
            future = self._submit.begin(self.jobs[index])
            self._running[future], self._began[future] = index, time.monotonic()
        seconds = None if self._limit is None else SECONDS_BETWEEN_LOOKS
        for future in self._submit.done(list(self._running), seconds):
            index = self._running.pop(future)
            self._note(index, *self._submit.result(future))
        self._stop_late()

    def _note(self, index: int, kind: str, content: Any) -> None:
        match kind:
            case "done":
                self.done[index] = content
                self.report(index, "training", 1, 1)
            case "failed":
                raise content
            case _:
                self.fault(index, content)

    def _stop_late(self) -> None:
        if self._limit is None:
            return
        now = time.monotonic()
        for future in [each for each in self._running if now - self._began[each] > self._limit]:
            self._submit.cancel(future)
            self.fault(self._running.pop(future), f"it took longer than {self._limit:g} s")
