"""Tries on the folders of runs: what is made of each command first, and how one is gone on with."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fault.commands import (
    COMMANDS,
    READERS,
    SIDE_BY_SIDE,
    draw_nothing,
    fork_workers,
    load_modules_of,
)
from fault.harness import (
    Arrange,
    Attacks,
    Ending,
    attempt,
    begin,
    outcome,
    stop_before_the_result,
    timeless,
)
from lossforge import files


class RunTries(Attacks):
    """What attacks on the folders of runs share."""

    def prepare(self) -> None:
        """Choose the commands; what the attacks need of each is made by `ready`."""
        others = [name for name in COMMANDS if name != "train"]
        self.names = list(COMMANDS) if self.full else ["train", self.random.choice(others)]
        self.names = list(self.commands) or self.names
        self.whole: dict[str, dict[str, Any]] = {}
        self.writes: dict[str, int] = {}
        self.seconds: dict[str, float] = {}

    def ready(self, name: str) -> str:
        """Make an undisturbed and an interrupted run of a command, once, and return its name."""
        if name in self.whole:
            return name
        words, counted = COMMANDS[name], self.folder / f"{name}.writes"
        load_modules_of([*words, "--out", f"{name}-first"], self.folder)
        began = time.monotonic()
        ending = self.attempt([*words, "--out", f"{name}-whole"], count_writes(counted))
        if ending.status != 0:
            raise SystemExit(f"{name}: {ending.said}")
        self.seconds[name] = time.monotonic() - began
        self.whole[name] = outcome(self.folder / f"{name}-whole")
        self.writes[name] = len(counted.read_bytes())
        self.attempt([*words, "--out", f"{name}-part"], stop_before_the_result)
        return name

    def all_ready(self) -> Iterator[str]:
        """Yield the commands, each ready."""
        return map(self.ready, self.names)

    def attempt(self, words: list[str], arrange: Arrange | None = None) -> Ending:
        """Run the program; its figures are not drawn, and its workers are forked."""
        return attempt(words, self.folder, cheap(arrange))

    def begin(self, words: list[str], arrange: Arrange | None = None) -> tuple[int, Path]:
        """Start the program likewise."""
        return begin(words, self.folder, cheap(arrange))

    def fresh(self, source: str | None = None) -> Path:
        """Return an empty place for a run, or a copy of one."""
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        if source is not None:
            shutil.copytree(self.folder / source, run)
        return run

    def same(self, name: str, run: Path) -> str | None:
        """Return how a run differs from the undisturbed one, None where it does not."""
        ours, theirs = outcome(run), self.whole[name]
        differ = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        return f"another {', '.join(differ)}" if differ else None

    def go_on(self, name: str, run: Path, arrange: Arrange | None = None) -> Ending:
        """Continue a run that was begun, or begin it."""
        begun = (run / "config.json").exists()
        words = self.resuming(name) if begun else [*COMMANDS[name], "--out", "run"]
        return self.attempt(words, arrange)

    def resuming(self, name: str) -> list[str]:
        """Return what resumes a command's run, with workers where it had some."""
        return ["resume", "run", *(SIDE_BY_SIDE if "workers" in name else ["--workers", "1"])]

    def finish(self, name: str, run: Path) -> str | None:
        """Continue a run to its end, and return what is wrong with that, if anything."""
        ending = self.go_on(name, run)
        return ending.said[-300:] if ending.status != 0 else self.same(name, run)

    def read_by_one(self, run: Path) -> str | None:
        """Return what is wrong with how one of the commands ends that only read a run."""
        reader = self.random.choice(list(READERS))
        (self.folder / "page.html").unlink(missing_ok=True)
        ending = self.attempt(READERS[reader])
        return None if ending.status == 0 or ending.is_refusal else f"{reader}: {ending.said}"

    def undamaged(self, name: str, run: Path) -> str | None:
        """Return what is wrong with how a run that was tampered with is resumed."""
        ending = self.attempt(self.resuming(name))
        if ending.is_refusal:
            return None
        if ending.status != 0:
            return ending.said[-300:]
        result = timeless(json.loads((run / "result.json").read_text()))
        return None if result == self.whole[name]["result.json"] else "accepted, another result"


def cheap(arrange: Arrange | None) -> Arrange:
    """Return what saves a process figures and the start of workers, and then calls `arrange`."""

    def all_of_it() -> None:
        draw_nothing()
        fork_workers()
        if arrange is not None:
            arrange()

    return all_of_it


def count_writes(path: Path) -> Arrange:
    """Return what makes a process write a sign into a file for each of its writes."""

    def arrange() -> None:
        rename, own = files._rename, os.getpid()

        def renaming(temporary: Path, target: Path) -> None:
            rename(temporary, target)
            if os.getpid() == own:
                with path.open("ab") as stream:
                    stream.write(b".")

        files._rename = renaming

    return arrange
