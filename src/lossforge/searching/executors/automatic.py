"""The executor that computes here as long as starting workers does not pay."""

import time
from collections.abc import Iterator, Sequence
from typing import final

from lossforge.searching.executors.executor import (
    Executor,
    GiveUp,
    JobReport,
    JobT,
    Report,
    ResultT,
    Work,
    ignore,
    of_job,
)
from lossforge.searching.executors.pool import LocalPool

PATIENCE = 3.0
"""seconds of work after which workers are started; their start takes about as long"""

MOST = 0.5
"""share of a job; one that has more left is begun anew by a worker, beside the others"""


class _WorkersPayError(Exception):
    """A job has so much left that it is begun anew by a worker, beside the others."""


@final
class Automatic(Executor):
    """Computes here at first; starts workers when there is enough work for them.

    While they start, work goes on here. When that is depends on the clock, but no result does.

    Args:
        pool: which is started.
        patience: seconds of work, with more waiting, after which that happens.
    """

    def __init__(self, pool: LocalPool, patience: float = PATIENCE):
        self._pool, self._patience, self._spent = pool, patience, 0.0
        self.workers = pool.workers

    @property
    def has_started(self) -> bool:
        """Whether workers were started and can be given jobs."""
        return self._spent >= self._patience and self._pool.has_started

    def map(
        self,
        work: Work[JobT, ResultT],
        jobs: Sequence[JobT],
        report: JobReport = ignore,
        give_up: GiveUp[JobT, ResultT] | None = None,
    ) -> Iterator[ResultT]:
        """Yield the result of each job, in the order of the jobs."""
        self._spend(self._spent)
        done = 0
        while done < len(jobs) and (len(jobs) - done < 2 or not self.has_started):
            is_last = done == len(jobs) - 1
            before, began = self._spent, time.monotonic()
            told = of_job(done, report)
            try:
                found = work(jobs[done], told if is_last else self._watched(told, before, began))
            except _WorkersPayError:
                break
            if not is_last:
                self._spend(before + time.monotonic() - began)
            done += 1
            yield found

        def shifted(index: int, stage: str, steps: int, total: int) -> None:
            report(index + done, stage, steps, total)

        yield from self._pool.map(work, jobs[done:], shifted, give_up)

    def close(self) -> None:
        """End the workers."""
        self._pool.close()

    def _watched(self, report: Report, before: float, began: float) -> Report:
        """Return what receives the progress of a job here, and ends it where workers pay.

        Args:
            report: that receives it, too.
            before: seconds of work before the job.
            began: when the job began.
        """

        def watched(stage: str, steps: int, total: int) -> None:
            report(stage, steps, total)
            self._spend(before + time.monotonic() - began)
            if self.has_started and total - steps > MOST * total:
                raise _WorkersPayError

        return watched

    def _spend(self, seconds: float) -> None:
        """Note the seconds of work so far, and have workers start when they are enough."""
        self._spent = seconds
        if seconds >= self._patience:
            self._pool.start()
