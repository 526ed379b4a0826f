"""How an attack is made and judged: tries are forked processes, whose words and status count.

A try is survived if the program ends with the result of an undisturbed run, or refuses in a line
that begins with "lossforge: ". Each is killed where a file is written: `files._fill` and
`files._rename` are what every write goes through.
"""

import errno
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lossforge import files
from lossforge.cli import main
from lossforge.errors import LossforgeError
from lossforge.runs import RunFolder

MOMENTS = ("before", "half-way", "before the rename", "after the rename")

SECONDS = 300
"""after which a try hangs, on a busy machine"""

SECONDS_OF_CALL = 5
"""of computing, after which a call or a refusal hangs"""

Arrange = Callable[[], None]


@dataclass(frozen=True)
class Ending:
    """How a try ended.

    Attributes:
        status: its exit status, None where it was killed.
        said: its output.
        seconds: of computing.
    """

    status: int | None
    said: str
    seconds: float = 0.0

    @property
    def is_refusal(self) -> bool:
        lines = [line for line in self.said.splitlines() if line.startswith("lossforge: ")]
        is_quick = self.seconds < SECONDS_OF_CALL
        return self.status == 2 and len(lines) == 1 and "Traceback" not in self.said and is_quick


def attempt(words: list[str], folder: Path, arrange: Arrange | None = None) -> Ending:
    """Run the program in a forked process, in a folder, after `arrange` was called there."""
    return wait(begin(words, folder, arrange))


def begin(words: list[str], folder: Path, arrange: Arrange | None = None) -> tuple[int, Path]:
    """Start the program in a process and a process group of its own, and return both's number."""
    handle, name = tempfile.mkstemp()
    process = os.fork()
    if process:
        os.close(handle)
        return process, Path(name)
    status = 99
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        if arrange is not None:
            arrange()
        status = main(words)
        sys.stdout.flush()
    except BaseException:  # a traceback is what must not happen: it is written down
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(status)


def wait(begun: tuple[int, Path]) -> Ending:
    process, output = begun
    end = time.monotonic() + SECONDS
    while (found := os.wait4(process, os.WNOHANG))[0] == 0:
        if time.monotonic() > end:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return Ending(98, f"hung for {SECONDS} s")
        time.sleep(0.002)
    said = output.read_text(errors="replace")
    output.unlink()
    status = None if os.WIFSIGNALED(found[1]) else os.WEXITSTATUS(found[1])
    return Ending(status, said, found[2].ru_utime + found[2].ru_stime)


def is_alone(process: int) -> bool:
    """Tell whether nothing is left of a process's group, after some time to end."""
    end = time.monotonic() + SECONDS / 5
    while time.monotonic() < end:
        try:
            os.killpg(process, 0)
        except (ProcessLookupError, PermissionError):
            return True
        time.sleep(0.02)
    return False


def kill_at(write: int, moment: str) -> Arrange:
    """Return what makes a process die at its n-th write, from 0; its workers do not."""

    def arrange() -> None:
        own = os.getpid()

        def die() -> None:
            if os.getpid() == own:
                os.kill(own, signal.SIGKILL)

        _at(write, moment, die)()

    return arrange


def fail_at(write: int, number: int = errno.ENOSPC) -> Arrange:
    """Return what makes a process find the disk full, or another error, from its n-th write on."""

    def full() -> None:
        raise OSError(number, os.strerror(number), "temporary")

    return _at(write, "half-way", full)


def _at(write: int, moment: str, happen: Callable[[], None]) -> Arrange:
    def arrange() -> None:
        fill, rename, done = files._fill, files._rename, []

        def filling(temporary: Path, data: bytes) -> None:
            if len(done) >= write and moment == "before":
                happen()
            if len(done) >= write and moment == "half-way":
                temporary.write_bytes(data[: len(data) // 2])
                happen()
            fill(temporary, data)

        def renaming(temporary: Path, path: Path) -> None:
            if len(done) >= write and moment == "before the rename":
                happen()
            rename(temporary, path)
            if len(done) >= write and moment == "after the rename":
                happen()
            done.append(path)

        files._fill, files._rename = filling, renaming

    return arrange


def stop_before_the_result() -> None:
    """Make a process die where it would write its results: a run that is not complete is left."""

    def die(self: RunFolder, result: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    RunFolder.write_result = die  # type: ignore[method-assign]


def outcome(run: Path) -> dict[str, Any]:
    """Return what a run wrote, times left out."""
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.name in ("result.json", "config.json"):
            found[name] = timeless(json.loads(path.read_text()))
        elif path.name == "history.jsonl":
            found[name] = [timeless(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.name in ("loss.json", "loss.safetensors"):
            found[name] = path.read_bytes()
        elif path.name.startswith("."):
            found[name] = "a leftover"
    return found


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key != "seconds"}
    return [timeless(each) for each in value] if isinstance(value, list) else value


@dataclass
class Tally:
    """What was tried, and what was not survived.

    Attributes:
        tries: how many, by attack.
        failures: attack and reason.
        log: a file that gets a line of each try at once.
    """

    tries: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failures: list[tuple[str, str]] = field(default_factory=list)
    log: Path | None = None
    _told: set[str] = field(default_factory=set)

    def record(self, attack: str, what: str, trouble: str | None) -> None:
        """Count a try; `trouble` is why it was not survived."""
        self.tries[attack] += 1
        if self.log is not None:
            # At once: a call that is cut short has counted what it tried.
            with self.log.open("a", encoding="utf-8", errors="replace") as stream:
                print(json.dumps([attack, what[:1000], trouble]), file=stream)
        if trouble is not None:
            self.failures.append((attack, f"{what}: {trouble}"))

    def news(self) -> str:
        """Return the rows of attacks that no earlier call returned, and their failures."""
        fresh = [attack for attack in self.tries if attack not in self._told]
        self._told.update(fresh)
        rows = [row(a, str(self.tries[a]), str(self.tries[a] - self._lost(a))) for a in fresh]
        rows += [f"NOT SURVIVED {a}: {what}" for a, what in self.failures if a in fresh]
        return "".join(f"{each}\n" for each in rows)

    def total(self) -> str:
        """Return the last row of the table."""
        tries = sum(self.tries.values())
        return row("all", str(tries), str(tries - len(self.failures)))

    def _lost(self, attack: str) -> int:
        return sum(each == attack for each, _ in self.failures)


def row(attack: str, tries: str, survived: str) -> str:
    """Return a row of the table."""
    return f"{attack:<32}{tries:>7}{survived:>10}"


@dataclass
class Attacks:
    """A family of attacks.

    Attributes:
        folder: to work in, of this family alone.
        full: try everything; else a sample that takes seconds.
        random: draws the sample.
        tally: of what was tried.
        most: tries of a class, where all of them would take too long.
        commands: names of those that are attacked; by default all, or some in the short form.
    """

    folder: Path
    full: bool
    random: random.Random
    tally: Tally
    most: int | None = None
    commands: tuple[str, ...] = ()

    classes: ClassVar[tuple[str, ...]]
    """names of methods, each a class of attacks"""

    def prepare(self) -> None:
        """Make what the attacks need."""

    def count(self, full: int, sample: int) -> int:
        """Return how many tries to make."""
        if self.full and self.most is not None:
            return min(full, self.most)
        return full if self.full else sample

    def sample(self, items: list[Any], count: int, parts: int = 1) -> list[Any]:
        """Return all items, or a sample in the short form.

        Args:
            items: to choose from.
            count: how many in the short form.
            parts: of how many parts of a class, alike, this is one.
        """
        if self.full:
            count = len(items) if self.most is None else -(-self.most // parts)
        return items if len(items) <= count else self.random.sample(items, count)

    def carry_out(self, only: list[str]) -> Iterator[str]:
        """Make the attacks of some classes, and yield the name of each that is finished."""
        chosen = [name for name in self.classes if name in only]
        if chosen:
            self.folder.mkdir()
            self.prepare()
        for name in chosen:
            getattr(self, name)()
            yield name


class _TookTooLongError(Exception):
    """A call that hangs is ended by this."""


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise an error in what computes for too long; waiting for the processor does not count."""

    def stop(*_: object) -> None:
        raise _TookTooLongError(f"computed for over {SECONDS_OF_CALL} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS_OF_CALL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


MOST_MEMORY = 2**30
"""bytes that a call may take, for a file under 1 MB"""


def judge(call: Callable[[], object]) -> str | None:
    """Return what is wrong with how a call ends, None where it returns or refuses in a line."""
    resource.setrlimit(resource.RLIMIT_AS, (_memory() + MOST_MEMORY, resource.RLIM_INFINITY))
    try:
        with time_limit():
            call()
    except LossforgeError as error:
        return "two lines" if "\n" in str(error) else None
    except MemoryError:
        return "took over 1 GB"
    except Exception as error:  # whatever else is raised is a traceback
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{error!r} at {where.filename}:{where.lineno}"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return None


def _memory() -> int:
    """Return the bytes of addresses that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
