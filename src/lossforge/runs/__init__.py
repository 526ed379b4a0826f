"""Runs, on disk and in memory."""

from lossforge.runs.folder import RunFolder, check_free, resume_command
from lossforge.runs.journal import Listener, RunJournal
from lossforge.runs.memory import MemoryRun, Run

__all__ = [
    "Listener",
    "MemoryRun",
    "Run",
    "RunFolder",
    "RunJournal",
    "check_free",
    "resume_command",
]
