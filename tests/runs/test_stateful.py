"""Whatever happens to a run's folder, what ends is the uninterrupted result or a clear refusal.

A toy run writes checkpoints (as plain data, or as tensors), a loss and a result. Hypothesis begins,
kills, resumes, overwrites and damages it in any order. Killed means: at any write, before it, half
way through it, before or after its renaming, temporary files and the lock's file left behind.
"""

import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lossforge import files
from lossforge.errors import LossforgeError
from lossforge.losses import Huber
from lossforge.runs import RunFolder
from lossforge.runs.lock import NAME as LOCK
from lossforge.runs.lock import FolderLock

ROUNDS = 3
MOMENTS = ("before", "half-way", "before the rename", "after the rename")
EDITED = ("config.json", "result.json", "history.jsonl", "loss.json", "checkpoint.json")
SEEDS = st.integers(0, 3)
DEATHS = st.none() | st.tuples(st.integers(0, 11), st.sampled_from(MOMENTS))


class KilledError(BaseException):
    """Stands for the end of a process."""


@contextmanager
def killed_at(death: tuple[int, str] | None):
    """Kill what runs inside at its n-th write; nothing cleans up after it."""
    done: list[Path] = []
    fill, rename, unlink, release = (
        files._fill,
        files._rename,
        files._unlink,
        FolderLock.release,
    )
    dying: list[bool] = []

    def die(moment: str) -> None:
        if death is not None and len(done) >= death[0] and moment == death[1]:
            dying.append(True)
            raise KilledError

    def filling(temporary: Path, data: bytes) -> None:
        die("before")
        if death is not None and len(done) >= death[0] and death[1] == "half-way":
            temporary.write_bytes(data[: len(data) // 2])
        die("half-way")
        fill(temporary, data)

    def renaming(temporary: Path, path: Path) -> None:
        die("before the rename")
        rename(temporary, path)
        die("after the rename")
        done.append(path)

    def unlinking(path: Path) -> None:
        if not dying:
            unlink(path)

    def releasing(lock: FolderLock) -> None:
        if dying and lock._handle is not None:  # as the system does
            os.close(lock._handle)
            lock._handle = None
        release(lock)

    with (
        mock.patch.object(files, "_fill", filling),
        mock.patch.object(files, "_rename", renaming),
        mock.patch.object(files, "_unlink", unlinking),
        mock.patch.object(FolderLock, "release", releasing),
        mock.patch.object(os, "fsync"),  # no one pulls the plug, and disks are slow
    ):
        yield


def config_of(seed: int) -> dict[str, object]:
    return {"version": "0.1.0", "seed": seed}


def total_of(seed: int, rounds: int) -> int:
    total = seed
    for number in range(rounds):
        total = (31 * total + number + 1) % 10007
    return total


def work(run: RunFolder) -> None:
    """Do what is left of a run; odd seeds keep their state as tensors."""
    seed = run.config["seed"]
    try:
        if run.result is not None:
            return
        if seed % 2:
            saved = run.restore_bytes()
            done, total = json.loads(saved) if saved else (0, seed)
        else:
            state = run.restore()
            done, total = (state["done"], state["total"]) if state else (0, seed)
        while done < ROUNDS:
            done, total = done + 1, (31 * total + done + 1) % 10007
            if seed % 2:
                history = [{"n": n + 1, "total": total_of(seed, n + 1)} for n in range(done)]
                run.checkpoint_bytes(json.dumps([done, total]).encode(), history)
            else:
                run.checkpoint({"done": done, "total": total}, {"n": done, "total": total})
        run.write_loss(Huber(delta=1.0 + total % 7))
        run.write_result({"seed": seed, "total": total})
    finally:
        run.release()


class Runs(RuleBasedStateMachine):
    """A folder, and what may be in it."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.path = self.root / "run"
        self.seeds: set[int] = set()
        self.is_damaged = False

    def teardown(self):
        shutil.rmtree(self.root)

    def attempt(self, begin, death) -> bool:
        """Begin or resume, and work to the end; False where it was killed."""
        try:
            with killed_at(death):
                work(begin())
        except KilledError:
            return False
        return True

    def complete(self):
        """The folder holds the result of an uninterrupted run."""
        run = RunFolder.open(self.path)
        seed = run.config["seed"]
        assert seed in self.seeds
        assert run.result == {"seed": seed, "total": total_of(seed, ROUNDS)}
        assert str(run.loss) == f"huber:delta={1.0 + total_of(seed, ROUNDS) % 7:g}"
        history = (self.path / "history.jsonl").read_text().splitlines()
        assert [json.loads(line)["total"] for line in history] == [
            total_of(seed, n + 1) for n in range(ROUNDS)
        ]
        assert not [path for path in self.path.iterdir() if path.name[0] == "."]
        self.seeds = {seed}

    @rule(seed=SEEDS, death=DEATHS)
    def overwrite(self, seed, death):
        """It always works, whatever is in the folder."""
        self.seeds.add(seed)
        if self.attempt(lambda: RunFolder.claim(self.path, config_of(seed), overwrite=True), death):
            self.is_damaged, self.seeds = False, {seed}
            self.complete()

    @rule(seed=SEEDS, death=DEATHS)
    def begin(self, seed, death):
        """It works in a folder without a run, and is refused in one with a run."""
        held = (self.path / "config.json").exists()
        before = snapshot(self.path)
        try:
            ended = self.attempt(
                lambda: RunFolder.claim(self.path, config_of(seed), overwrite=False), death
            )
        except LossforgeError:
            assert before
            assert snapshot(self.path) == before
            return
        assert not held
        self.seeds.add(seed)
        if ended:
            self.is_damaged = False
            self.complete()

    def reopened(self) -> RunFolder:
        run = RunFolder.open(self.path)
        run.verify()
        if run.result is None:
            run.lock()
        else:
            run.tidy()
        return run

    @rule(death=DEATHS)
    def resume(self, death):
        """It ends with the result, unless there is no run, or one that was damaged."""
        begun = (self.path / "config.json").exists()
        try:
            ended = self.attempt(self.reopened, death)
        except LossforgeError:
            assert self.is_damaged or not begun
            return
        if ended:
            self.complete()

    @precondition(lambda self: self.path.exists())
    @rule(
        which=st.integers(0, 50),
        place=st.floats(0, 1, exclude_max=True),
        bit=st.integers(0, 7),
        how=st.sampled_from(("flip", "cut", "remove")),
    )
    def damage(self, which, place, bit, how):
        """Flip a bit of a file, cut it, or remove it."""
        found = [p for p in sorted(self.path.iterdir()) if p.is_file() and p.name[0] != "."]
        if not found:
            return
        path = found[which % len(found)]
        data = bytearray(path.read_bytes())
        at = int(place * len(data))
        if how == "remove":
            path.unlink()
        elif data:
            data[at] ^= 1 << bit
            path.write_bytes(data[:at] if how == "cut" else data)
        self.is_damaged = True

    @precondition(lambda self: (self.path / "config.json").exists())
    @rule(name=st.sampled_from(EDITED), strips=st.booleans(), seed=SEEDS)
    def edit(self, name, strips, seed):
        """Write what a person might: other numbers, and no checksums where they were in the way."""
        path = self.path / name
        if strips:
            (self.path / "checksums.json").unlink(missing_ok=True)
            self.is_damaged = True
        try:
            content = path.read_text()
        except (OSError, ValueError):
            return
        path.write_text(
            re.sub(r"\d+(?=\D*$)", lambda found: f"{int(found[0]) + seed + 1}", content)
        )
        self.is_damaged = True

    @invariant()
    def nothing_is_held(self):
        lock = FolderLock(self.root / "other")
        lock.acquire()
        lock.release()


def snapshot(path: Path) -> dict[str, bytes]:
    if not path.is_dir():
        return {}
    held = [p for p in path.iterdir() if p.is_file() and p.name != LOCK]
    return {p.name: p.read_bytes() for p in held if not files.LEFTOVER.fullmatch(p.name)}


class FewRuns(Runs.TestCase):
    settings = settings(max_examples=25, stateful_step_count=10, deadline=None)


@pytest.mark.slow
class ManyRuns(Runs.TestCase):
    settings = settings(max_examples=1000, stateful_step_count=30, deadline=None)
