"""What an executor is: it calls a function for each of many jobs, here or in other processes.

The results never depend on the executor: jobs are independent of one another, each is computed by
the same code with the same number of threads, and results come in the order of the jobs.
"""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, final

from lossforge.errors import ConfigurationError

JobT = TypeVar("JobT")
JobT_contra = TypeVar("JobT_contra", contravariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

Report = Callable[[str, int, int], None]
"""receives a stage's name, how many of its steps are done, and how many there are"""

JobReport = Callable[[int, str, int, int], None]
"""receives the index of a job, and what `Report` receives"""

GiveUp = Callable[[JobT, str], ResultT]
"""returns what stands for the result of a job that cannot be computed, given the reason"""

COUNTED = "training"
"""the stage of a job whose progress is added up"""

ATTEMPTS = 3
"""how often a job is tried whose worker is killed, runs out of memory or exceeds the time limit"""


class WorkerError(ConfigurationError):
    """A job or the workers themselves failed again and again."""


class Work(Protocol[JobT_contra, ResultT_co]):
    """A function of a job, with all that its jobs share, such as the data.

    It is sent to each worker once. So it must be picklable: an instance of a class, or a function,
    that a module defines.
    """

    def __call__(self, job: JobT_contra, report: Report, /) -> ResultT_co:
        """Return the result of a job; it must depend on nothing else.

        Args:
            job: what to compute.
            report: receives progress.
        """


def ignore(job: int, stage: str, done: int, total: int) -> None:
    """Ignore the progress of a job."""


class Executor(ABC):
    """Calls a function for each of many jobs. Use it as a context manager.

    Attributes:
        workers: how many jobs are computed at once.
    """

    workers: int

    @abstractmethod
    def map(
        self,
        work: Work[JobT, ResultT],
        jobs: Sequence[JobT],
        report: JobReport = ignore,
        give_up: GiveUp[JobT, ResultT] | None = None,
    ) -> Iterator[ResultT]:
        """Yield the result of each job, in the order of the jobs, as soon as it is there.

        An exception that a job raises is raised here. A job whose worker is killed, runs out of
        memory or exceeds the time limit is tried again, `ATTEMPTS` times in all.

        Args:
            work: the function, with what its jobs share.
            jobs: what to compute; few bytes each.
            report: receives progress.
            give_up: returns what stands for the result of a job that failed at all attempts.

        Raises:
            WorkerError: a job failed at all attempts and there is no `give_up`.
            ConfigurationError: the function or a job cannot be sent to another process.
        """

    @abstractmethod
    def close(self) -> None:
        """End the workers; the executor is not used any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Mapping(ABC):
    """One call of `Executor.map` that is carried out elsewhere.

    Attributes:
        jobs: to compute.
        waiting: indices of the jobs to begin next, in order.
        done: results that were not yielded yet, by index.
    """

    def __init__(self, jobs: Sequence[Any], report: JobReport, give_up: GiveUp[Any, Any] | None):
        self.jobs, self.report = jobs, report
        self.waiting = deque(range(len(jobs)))
        self.done: dict[int, Any] = {}
        self._give_up = give_up
        self._faults: Counter[int] = Counter()

    def results(self) -> Iterator[Any]:
        """Yield the results in the order of the jobs."""
        for index in range(len(self.jobs)):
            while index not in self.done:
                self.go_on()
            yield self.done.pop(index)

    @abstractmethod
    def go_on(self) -> None:
        """Begin jobs that wait, wait until something happens, and note it."""

    def fault(self, index: int, reason: str) -> None:
        """Have a job tried again, or give it up.

        Args:
            index: of the job.
            reason: why the attempt failed.

        Raises:
            WorkerError: all attempts failed, and nothing stands for the result.
        """
        self._faults[index] += 1
        if self._faults[index] < ATTEMPTS:
            self.waiting.appendleft(index)
            return
        reason = f"failed {ATTEMPTS} times; at last {reason}"
        if self._give_up is None:
            raise WorkerError(
                f"a job {reason}; use fewer workers where memory is short, or a longer "
                "--trial-timeout"
            )
        self.done[index] = self._give_up(self.jobs[index], reason)


@final
class Here(Executor):
    """Computes one job after the other, in this process. It survives no faults.

    Examples:
        >>> list(Here().map(lambda job, report: job**2, [1, 2, 3]))
        [1, 4, 9]
    """

    workers = 1

    def map(
        self,
        work: Work[JobT, ResultT],
        jobs: Sequence[JobT],
        report: JobReport = ignore,
        give_up: GiveUp[JobT, ResultT] | None = None,
    ) -> Iterator[ResultT]:
        """Yield the result of each job."""
        for index, job in enumerate(jobs):
            yield work(job, of_job(index, report))

    def close(self) -> None:
        """Do nothing: there are no workers."""


def of_job(index: int, report: JobReport) -> Report:
    """Return what receives the progress of one job."""

    def tell(stage: str, done: int, total: int) -> None:
        report(index, stage, done, total)

    return tell


@final
class Tally:
    """Adds up the progress of jobs of equal length, and reports it as that of one stage.

    Other stages of a job than "training" are reported as they are where jobs come one by one, and
    not at all where they are computed side by side.

    Args:
        report: receives the sum.
        stage: what the sum is called.
        jobs: how many there are.
        workers: how many are computed at once.

    Examples:
        >>> tally = Tally(print, "comparing", jobs=3, workers=2)
        >>> tally(0, "training", 25, 100)
        comparing 25 300
        >>> tally(1, "training", 50, 100)
        comparing 75 300
    """

    def __init__(self, report: Report, stage: str, jobs: int, workers: int = 1):
        self._report, self._stage, self._workers = report, stage, workers
        self._done = [0] * jobs

    def __call__(self, job: int, stage: str, done: int, total: int) -> None:
        if stage != COUNTED:
            if self._workers == 1:
                self._report(stage, done, total)
            return
        self._done[job] = done
        self._report(self._stage, sum(self._done), total * len(self._done))
