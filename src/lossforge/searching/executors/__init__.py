"""Executors: trainings side by side, in processes on this machine or on a Ray cluster."""

from lossforge.searching.executors.automatic import Automatic
from lossforge.searching.executors.deadline import OutOfTime, limited_time
from lossforge.searching.executors.execution import Execution
from lossforge.searching.executors.executor import (
    Executor,
    GiveUp,
    Here,
    JobReport,
    Report,
    Tally,
    Work,
    WorkerError,
)
from lossforge.searching.executors.pool import LocalPool
from lossforge.searching.executors.threads import check_threads, limited_threads

__all__ = [
    "Automatic",
    "Execution",
    "Executor",
    "GiveUp",
    "Here",
    "JobReport",
    "LocalPool",
    "OutOfTime",
    "Report",
    "Tally",
    "Work",
    "WorkerError",
    "check_threads",
    "limited_threads",
    "limited_time",
]
