"""A pool of processes on this machine.

Not `concurrent.futures`: its pool is broken for good when a worker is killed, and has no time limit
for a job.
"""

import multiprocessing
import os
import pickle
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, final

import torch

from lossforge.errors import ConfigurationError
from lossforge.searching.executors.executor import (
    ATTEMPTS,
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
from lossforge.searching.executors.worker import Message, Order, receive, save_work, send, serve

SECONDS_TO_END = 5
"""that a worker has to end by itself when its pool closes"""

VISIBLE = "CUDA_VISIBLE_DEVICES"


@final
class LocalPool(Executor):
    """Processes on this machine that compute jobs side by side.

    They start when the first jobs come, which takes some seconds, and stay until `close`. Each
    worker sees one GPU at most: worker 1 the first one, worker 2 the second, and so on in turn. A
    worker that is killed, or computes a job for longer than the limit, is replaced.

    Args:
        workers: how many processes.
        threads: of PyTorch in each.
        limit: seconds that a job may take; None for any number.

    Raises:
        WorkerError: from `map`, also where workers end as they start.
    """

    def __init__(self, workers: int, *, threads: int = 1, limit: float | None = None):
        self.workers, self._threads, self._limit = workers, threads, limit
        self._processes: list[_Process] = []
        self._folder: Path | None = None
        self._works: list[tuple[object, Path]] = []

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers that were started."""
        return [process.pid for process in self._processes]

    def start(self) -> None:
        """Begin to start all workers, and do not wait for them."""
        self.staffed(self.workers)

    @property
    def has_started(self) -> bool:
        """Whether all workers have loaded what they need, or ended."""
        processes = self._processes
        return len(processes) == self.workers and all(each.has_begun for each in processes)

    def map(
        self,
        work: Work[JobT, ResultT],
        jobs: Sequence[JobT],
        report: JobReport = ignore,
        give_up: GiveUp[JobT, ResultT] | None = None,
    ) -> Iterator[ResultT]:
        """Yield the result of each job, in the order of the jobs."""
        if not jobs:
            return
        path = self._publish(work)
        try:
            yield from _Mapping(self, path, jobs, report, give_up).results()
        finally:
            # An error or Ctrl-C: what is still being computed is of no use.
            for process in self._processes:
                if process.index is not None and not process.was_killed:
                    process.kill()

    def close(self) -> None:
        """End the workers, and remove what was written for them."""
        for process in self._processes:
            process.connection.close()
        end = time.monotonic() + SECONDS_TO_END
        for process in self._processes:
            process.end(end - time.monotonic())
        self._processes, self._works = [], []
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def staffed(self, count: int) -> list["_Process"]:
        """Return the workers, after starting those that are missing of `count` at most."""
        # One that died is kept until its death was noticed, with the job that it leaves.
        self._processes = [each for each in self._processes if not each.was_killed]
        taken = {each.slot for each in self._processes}
        free = [slot for slot in range(self.workers) if slot not in taken]
        for slot in free[: max(0, min(count, self.workers) - len(taken))]:
            self._processes.append(_Process(slot, self._threads))
        return self._processes

    @property
    def limit(self) -> float | None:
        """Seconds that a job may take; None for any number."""
        return self._limit

    def _publish(self, work: object) -> Path:
        """Write a function for the workers, once."""
        for known, path in self._works:
            if known is work:
                return path
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="lossforge-"))
        # What workers have read they keep in memory; the latest are kept for new workers.
        for _, path in self._works[:-1]:
            path.unlink(missing_ok=True)
        self._works = self._works[-1:]
        path = self._folder / f"{time.monotonic_ns()}.pt"
        try:
            save_work(work, path)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise _unpicklable(error) from None
        self._works.append((work, path))
        return path


def _unpicklable(error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"this cannot be sent to other processes: {' '.join(str(error).split())}; define networks, "
        "losses and augmentations at the top of a module that can be imported, or use one worker"
    )


@final
class _Process:
    """A worker as its pool sees it.

    Attributes:
        slot: its number in the pool, which decides its GPU.
        connection: to it.
        index: of the job that it computes; None if it is idle.
        began: when it began that job.
        is_ready: whether it has started.
        was_killed: whether it was ended here, or found dead.
    """

    def __init__(self, slot: int, threads: int):
        context = multiprocessing.get_context("spawn")
        self.slot, self.began = slot, 0.0
        self.index: int | None = None
        self.is_ready = self.was_killed = False
        self.connection: Connection[Any, Any]
        self.connection, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=serve, args=(theirs, threads), name=f"lossforge-{slot}", daemon=True
        )
        with _one_visible_gpu(slot):
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid or 0

    @property
    def has_begun(self) -> bool:
        """Whether it has started, or has said something that was not heard yet."""
        return self.is_ready or self.was_killed or self.connection.poll()

    @property
    def is_free(self) -> bool:
        """Whether it waits for a job."""
        return self.is_ready and self.index is None

    def begin(self, order: Order) -> None:
        """Give it a job; if it has just died, that is noticed when its answer is awaited."""
        self.index, self.began = order.number, time.monotonic()
        with suppress(OSError):
            send(self.connection, order)

    def hear(self) -> Message | None:
        """Return what it says; None if it is dead."""
        try:
            message: Message = receive(self.connection)
        except (EOFError, OSError, pickle.UnpicklingError):
            return None
        if message.kind == "ready":
            self.is_ready = True
        elif message.kind != "progress":
            self.index = None
        return message

    def kill(self) -> None:
        """End it at once."""
        self.was_killed = True
        self._process.kill()
        self._process.join()
        self.connection.close()

    def end(self, seconds: float) -> None:
        """Wait for it to end, and then kill it."""
        self._process.join(max(0, seconds))
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def obituary(self) -> tuple[str, bool]:
        """Return in words how it ended, and whether a signal ended it."""
        self._process.join(SECONDS_TO_END)
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"its worker ended with status {code}", False
        name = signal.Signals(-code).name
        perhaps = ", perhaps for want of memory" if name == "SIGKILL" else ""
        return f"its worker was ended by {name}{perhaps}", True


@contextmanager
def _one_visible_gpu(slot: int) -> Iterator[None]:
    """Let a process that is started inside the `with` block see one GPU only."""
    before = os.environ.get(VISIBLE)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count:
        names = before.split(",") if before else [str(i) for i in range(count)]
        os.environ[VISIBLE] = names[slot % count]
    try:
        yield
    finally:
        if count and before is None:
            del os.environ[VISIBLE]
        elif before is not None:
            os.environ[VISIBLE] = before


@final
class _Mapping(Mapping):
    """One call of `LocalPool.map`."""

    def __init__(
        self,
        pool: LocalPool,
        work: Path,
        jobs: Sequence[Any],
        report: JobReport,
        give_up: GiveUp[Any, Any] | None,
    ):
        super().__init__(jobs, report, give_up)
        self._pool, self._work = pool, work
        self._failed_starts = 0

    def go_on(self) -> None:
        """Give idle workers jobs, wait until a worker says something or dies, and note it."""
        processes = self._pool.staffed(len(self.jobs) - len(self.done))
        for process in processes:
            if process.is_free and self.waiting:
                index = self.waiting.popleft()
                process.begin(Order(index, self.jobs[index], self._work))
        ready = wait([each.connection for each in processes], self._seconds_left(processes))
        for process in processes:
            if process.connection in ready:
                self._note(process)
            elif process.index is not None and self._is_late(process):
                process.kill()
                self.fault(process.index, f"it took longer than {self._pool.limit:g} s")

    def _note(self, process: _Process) -> None:
        index, message = process.index, process.hear()
        if message is None:
            self._bury(process, index)
            return
        match message.kind:
            case "ready":
                self._failed_starts = 0
            case "progress":
                self.report(message.number, *message.content)
            case "done":
                self.done[message.number] = message.content
            case "failed":
                raise message.content
            case "exhausted":
                self.fault(message.number, message.content)

    def _bury(self, process: _Process, index: int | None) -> None:
        reason, was_killed = process.obituary()
        process.kill()
        if index is not None:
            self.fault(index, reason)
        elif not process.is_ready:
            self._failed_starts += 1
            if self._failed_starts >= ATTEMPTS or not was_killed:
                raise WorkerError(
                    f"workers cannot start: {reason.removeprefix('its ')}; a script must call this "
                    "below `if __name__ == '__main__':`; or use one worker"
                )

    def _is_late(self, process: _Process) -> bool:
        limit = self._pool.limit
        return limit is not None and time.monotonic() - process.began > limit

    def _seconds_left(self, processes: Sequence[_Process]) -> float | None:
        """Return how long until the first job exceeds the limit."""
        limit = self._pool.limit
        busy = [each.began for each in processes if each.index is not None]
        if limit is None or not busy:
            return None
        return max(0.0, min(busy) + limit - time.monotonic()) + 0.01
