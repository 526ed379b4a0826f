"""Attacks by options: every option of every command is given values that it should not have."""

import contextlib
import io
import os
import re
import resource
import shutil
import signal
import time
from pathlib import Path

from fault.commands import COMMANDS, draw_nothing, fork_workers
from fault.harness import Attacks, Ending, begin, wait
from lossforge.cli import main

VALUES = (
    *("-1", "0", "nan", "inf", "-inf", "1e309", "1e-320", "1e308", str(10**30), "9" * 400, ""),
    *("a" * 10_000, "9" * 5000, "0.5", "-0.0", "1_000", "\uff11", "[b]x[/b]", "\x1b[31m", "a\nb"),
    *("\udcff", "None", "True", "/dev/null", "/", ".", "..", "-", "--", "%s%n", "{0.__class__}"),
)

BASES = {
    **{name: COMMANDS[name] for name in COMMANDS if "workers" not in name},
    "explain": ["explain", "focal"],
    "export": ["export", "focal", "--to", "torch"],
    "landscape": [
        *("landscape", "--losses", "focal", *COMMANDS["train"][1:5], "--steps", "2"),
        *("--points", "3", "--rows", "10", "--out", "pictures"),
    ],
    "watch": ["watch", "nowhere", "--once"],
    "report": ["report", "nowhere"],
    "resume": ["resume", "nowhere"],
    "list": ["list", "tasks"],
}
"""words that an option is added to"""

OPTION = re.compile(r"^[│| ]+(?:-h, )?(--[\w.-]+)", re.MULTILINE)

SECONDS = 5
"""of computing: a command that still works then is ended, and has survived if it had begun"""

MOST_MEMORY = 2**30
"""bytes that options may ask for"""

BEGUN = "the run was begun"


class OptionAttacks(Attacks):
    """Attacks by the command line."""

    classes = ("options", "words")

    def options(self) -> None:
        """Give every option odd values: none is a traceback, a hang or much memory."""
        points = [(n, o, v) for n in BASES for o in _options_of(BASES[n]) for v in VALUES]
        chosen = self.random.sample(points, min(len(points), self.count(2500, 4)))
        for name, option, value in chosen:
            self._try(name, [*BASES[name], option, value])

    def words(self) -> None:
        """Give commands words in any order, cut, doubled, and of other commands."""
        for _ in range(self.count(300, 2)):
            name = self.random.choice(list(BASES))
            words = list(BASES[name])
            match self.random.randrange(5):
                case 0:
                    self.random.shuffle(words)
                case 1:
                    del words[self.random.randrange(len(words))]
                case 2:
                    words.insert(self.random.randrange(len(words)), self.random.choice(VALUES))
                case 3:
                    words += self.random.choice(list(BASES.values()))
                case _:
                    place = self.random.randrange(len(words))
                    words[place] = words[place][: self.random.randrange(len(words[place]) + 1)]
            self._try(name, words)

    def _try(self, name: str, words: list[str]) -> None:
        for made in ("runs", "run", "pictures"):
            shutil.rmtree(self.folder / made, ignore_errors=True)
        words = [word.replace("\x00", "") for word in words]
        ending = wait(begin(words, self.folder, _limited))
        trouble = None if _is_fine(ending) else f"{ending.status}: {ending.said[-500:]}"
        shown = [word if len(word) < 60 else f"{word[:20]}...{len(word)}" for word in words]
        self.tally.record(f"options: {BASES[name][0]}", f"{shown}", trouble)


def _is_fine(ending: Ending) -> bool:
    if ending.status == 0 or ending.is_refusal:
        return True
    # The limit of time ends what computes as it was asked to.
    return ending.status is None and BEGUN in ending.said and "Traceback" not in ending.said


def _limited() -> None:
    draw_nothing()
    fork_workers()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    used = round(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, used + 2 * SECONDS))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    _tell_where_runs_begin()


def _tell_where_runs_begin() -> None:
    from lossforge.runs import RunFolder
    from lossforge.training.full import FullTraining

    begin_run, run = RunFolder._begin, FullTraining.run

    def beginning(*arguments: object, **options: object) -> None:
        begin_run(*arguments, **options)  # type: ignore[arg-type]
        os.write(2, f"{BEGUN}\n".encode())

    def running(*arguments: object) -> object:
        os.write(2, f"{BEGUN}\n".encode())
        return run(*arguments)  # type: ignore[arg-type]

    RunFolder._begin = beginning  # type: ignore[method-assign, assignment]
    FullTraining.run = running  # type: ignore[method-assign, assignment]


def _options_of(words: list[str]) -> list[str]:
    """Return the options that a command's help names."""
    written = io.StringIO()
    start = words[:2] if words[0] in ("search", "fewshot") else words[:1]
    with contextlib.redirect_stdout(written), contextlib.suppress(SystemExit):
        main([*start, "--help"])
    return sorted(set(OPTION.findall(written.getvalue())) - {"--help", "--address", "--executor"})
