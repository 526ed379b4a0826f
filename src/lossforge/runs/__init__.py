"""Runs on disk."""

from lossforge.runs.folder import RunFolder, check_free
from lossforge.runs.journal import Listener, RunJournal

__all__ = ["Listener", "RunFolder", "RunJournal", "check_free"]
