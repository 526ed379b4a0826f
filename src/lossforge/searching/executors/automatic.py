"""The executor that computes here as long as starting workers does not pay."""

import time
from collections.abc import Iterator, Sequence
from typing import final

from lossforge.searching.executors.executor import (
    Executor,
    GiveUp,
    Here,
    JobReport,
    JobT,
    ResultT,
    Work,
    ignore,
)
from lossforge.searching.executors.pool import LocalPool

PATIENCE = 10.0
"""seconds of work after which workers are started; their start takes about three"""


class _WorkersPayError(Exception):
    """A job takes so long that it is begun anew by a worker, beside the others."""


@final
class Automatic(Executor):
    """Computes here at first; starts workers when there is enough work for them.

    When they start depends on the clock, but no result does.

    Args:
        pool: which is started.
        patience: seconds of work, with more waiting, after which that happens.
    """

    def __init__(self, pool: LocalPool, patience: float = PATIENCE):
        self._pool, self._patience, self._spent = pool, patience, 0.0
        self.workers = pool.workers

    @property
    def has_started(self) -> bool:
        """Whether workers have been started."""
        return self._spent >= self._patience

    def map(
        self,
        work: Work[JobT, ResultT],
        jobs: Sequence[JobT],
        report: JobReport = ignore,
        give_up: GiveUp[JobT, ResultT] | None = None,
    ) -> Iterator[ResultT]:
        """Yield the result of each job, in the order of the jobs."""
        done = 0
        while done < len(jobs) and (len(jobs) - done < 2 or not self.has_started):
            began = time.monotonic()
            is_last = done == len(jobs) - 1
            try:
                found = self._one(work, jobs, done, report, None if is_last else began)
            except _WorkersPayError:
                break
            finally:
                self._spent += 0 if is_last else time.monotonic() - began
            done += 1
            yield found

        def shifted(index: int, stage: str, steps: int, total: int) -> None:
            report(index + done, stage, steps, total)

        yield from self._pool.map(work, jobs[done:], shifted, give_up)

    def close(self) -> None:
        """End the workers."""
        self._pool.close()

    def _one(
        self,
        work: Work[JobT, ResultT],
        jobs: Sequence[JobT],
        index: int,
        report: JobReport,
        began: float | None,
    ) -> ResultT:
        """Compute a job here.

        Raises:
            _WorkersPayError: it takes too long; not if `began` is None.
        """

        def watched(_: int, stage: str, steps: int, total: int) -> None:
            report(index, stage, steps, total)
            if began is not None and steps < total:
                spent = self._spent + time.monotonic() - began
                if spent >= self._patience:
                    raise _WorkersPayError

        (found,) = Here().map(work, jobs[index : index + 1], watched)
        return found
