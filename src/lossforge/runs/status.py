"""How far a run is, read from its folder's files alone: nothing in it is locked or changed."""

import json
import os
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from lossforge.errors import FileFormatError
from lossforge.files import read_json, read_regular
from lossforge.runs import lock
from lossforge.runs.folder import CONFIG, HISTORY, PROGRESS, RunFolder
from lossforge.searching import State

LINES = 5
"""of history that are shown"""


@final
@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        path: of its folder.
        command: search, train, compare, fewshot or benchmark.
        owner: the process that works on it, as it named itself; None where there is none.
        progress: the last event of its progress; None where nobody knows.
        age: seconds since that event.
        history: its lines of history, the last ones last.
        result: its results; None while it is not complete.
    """

    path: Path
    command: str
    owner: State | None
    progress: State | None
    age: float
    history: tuple[State, ...]
    result: State | None

    @classmethod
    def read(cls, path: Path) -> "Status":
        """Read how far the run in a folder is.

        Raises:
            RunError: there is no run.
        """
        folder = RunFolder.open(path)
        config: dict[str, Any] = {}
        with suppress(FileFormatError):
            config = read_json(path / CONFIG)
        return cls(
            path,
            str(config.get("command", "run")),
            _owner(path),
            folder.progress,
            _age(path / PROGRESS),
            _history(path),
            folder.result,
        )

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing left to do."""
        return self.result is not None

    @property
    def state(self) -> str:
        """One of "complete", "running" and "interrupted"."""
        if self.is_complete:
            return "complete"
        return "interrupted" if self.owner is None else "running"

    @property
    def work(self) -> State | None:
        """The stage that is being worked on; None where nobody works on the run, or nobody knows.

        Its name, how many of its steps are done and how many there are, the share of the whole run
        that is done, and the seconds that are left of it, if known.
        """
        event = self.progress
        if self.state != "running" or event is None or event.get("event") != "progress":
            return None
        left = _number(event.get("seconds_left"))
        kept = {name: event.get(name) for name in ("stage", "done", "total", "share")}
        if None in map(_number, (kept["done"], kept["total"], kept["share"])):
            return None  # somebody edited it
        return {**kept, "seconds_left": None if left is None else max(0.0, left - self.age)}

    def document(self) -> State:
        """Return the status as plain data, for programs."""
        return {
            "run": str(self.path),
            "command": self.command,
            "state": self.state,
            "process": self.owner,
            "progress": self.work,
            "history": list(self.history),
            "result": self.result,
        }

    def lines(self) -> list[str]:
        """Return the status as lines for people."""
        return [self._headline(), *map(_describe_entry, self.history[-LINES:]), *self._present()]

    def _headline(self) -> str:
        about = f"{self.path}: {self.command}"
        if self.result is not None:
            seconds = _number(self.result.get("seconds"))
            return f"{about}, complete" + ("" if seconds is None else f" after {seconds:.0f} s")
        if self.owner is None:
            return f"{about}, interrupted; no process works on it"
        who = f"process {self.owner.get('pid')} on {self.owner.get('host')}"
        return f"{about}, {who} since {self.owner.get('since')}"

    def _present(self) -> list[str]:
        if self.result is not None:
            kept = ("metric", "valid", "test", "loss")
            return [", ".join(f"{k} {_short(self.result[k])}" for k in kept if k in self.result)]
        work = self.work
        if work is None:
            return []
        left = work["seconds_left"]
        rest = "" if left is None else f", {left:.0f} s left"
        share = f"{100 * work['share']:.0f} % of the run{rest}"
        return [f"{work['stage']} {work['done']}/{work['total']}; {share}"]


def _owner(path: Path) -> State | None:
    """Return who says that it works on a run.

    The lock itself is not tried: for a moment, that would keep a run from beginning. Its file goes
    with its holder, unless that was killed; on this machine, processes can be looked up.
    """
    try:
        content: State = read_json(path / lock.NAME, lock.MOST_BYTES)
        is_here = content["host"] == socket.gethostname()
        return None if is_here and not _is_alive(int(content["pid"])) else content
    except (FileFormatError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _is_alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # there, a signal 0 would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _age(path: Path) -> float:
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0


def _history(path: Path) -> tuple[State, ...]:
    with suppress(FileFormatError, ValueError, RecursionError):
        text = read_regular(path / HISTORY).decode("utf-8")
        lines = tuple(json.loads(line) for line in text.splitlines())
        return lines if all(isinstance(line, dict) for line in lines) else ()
    return ()


def _describe_entry(entry: State) -> str:
    parts = (f"{k} {_short(v)}" for k, v in entry.items() if not isinstance(v, dict))
    return "  " + ", ".join(parts)


def _number(value: object) -> float | None:
    """Return a number of a file that nobody has checked; None where it is none."""
    is_number = isinstance(value, int | float) and abs(value) < sys.float_info.max
    return float(value) if is_number else None  # type: ignore[arg-type]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
