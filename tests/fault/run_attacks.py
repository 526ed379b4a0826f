"""Attacks on runs: killed, damaged, edited and crowded ones end as they should, or in one line."""

import json
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fault.harness import (
    COMMANDS,
    MOMENTS,
    Arrange,
    Attacks,
    Ending,
    attempt,
    begin,
    fail_at,
    kill_at,
    outcome,
    stop_before_the_result,
    timeless,
    wait,
)
from lossforge import files

KILLS = 1000
"""in full, over all commands"""

DAMAGES = 1000
"""in full, flipped bits and cuts each"""


class RunAttacks(Attacks):
    """Attacks on the folders of runs."""

    classes = (
        *("kills", "repeated_kills", "overwriting", "full_disks", "damages", "edits"),
        *("exchanges", "crowds", "limits"),
    )

    def prepare(self) -> None:
        """Make an undisturbed and an interrupted run of each command."""
        self.names = list(COMMANDS) if self.full else ["train"]
        self.whole, self.writes = {}, {}
        for name in self.names:
            words = COMMANDS[name]
            counted = self.folder / f"{name}.writes"
            ending = attempt([*words, "--out", f"{name}-whole"], self.folder, _count(counted))
            if ending.status != 0:
                raise SystemExit(ending.said)
            self.whole[name] = outcome(self.folder / f"{name}-whole")
            self.writes[name] = len(counted.read_bytes())
            attempt([*words, "--out", f"{name}-part"], self.folder, stop_before_the_result)

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
        words = ["resume", "run"] if begun else [*COMMANDS[name], "--out", "run"]
        return attempt(words, self.folder, arrange)

    def finish(self, name: str, run: Path) -> str | None:
        """Continue a run to its end, and return what is wrong with that, if anything."""
        ending = self.go_on(name, run)
        return ending.said[-300:] if ending.status != 0 else self.same(name, run)

    def kills(self) -> None:
        """Kill at every write of every command, then go on."""
        for name in self.names:
            points = [(n, m) for n in range(self.writes[name]) for m in MOMENTS]
            for write, moment in self.sample(points, 2):
                run = self.fresh()
                words = [*COMMANDS[name], "--out", "run"]
                ending = attempt(words, self.folder, kill_at(write, moment))
                trouble = "was not killed" if ending.status is not None else self.finish(name, run)
                self.tally.record(f"kill: {name}", f"write {write}, {moment}", trouble)

    def repeated_kills(self) -> None:
        """Kill a run, and again as it goes on, and again."""
        points = sum(len(MOMENTS) * self.writes[name] for name in self.names)
        for number in range(max(200, KILLS - points) if self.full else 2):
            name = self.names[number % len(self.names)]
            run, killed = self.fresh(), []
            for _ in range(3):
                point = self.random.randrange(self.writes[name]), self.random.choice(MOMENTS)
                killed.append(point)
                ending = self.go_on(name, run, kill_at(*point))
                if ending.status not in (None, 0):
                    break
            bad = ending.status not in (None, 0)
            trouble = ending.said[-300:] if bad else self.finish(name, run)
            self.tally.record("kill three times", f"{name} {killed}", trouble)

    def overwriting(self) -> None:
        """Kill while another run is overwritten: what is left is either run, or can be replaced."""
        for name in self.names:
            points = [(n, m) for n in range(self.writes[name]) for m in MOMENTS]
            for write, moment in self.sample(points, 1):
                run = self.fresh(f"{name}-part" if write % 2 else f"{name}-whole")
                words = [*COMMANDS[name], "--out", "run", "--overwrite"]
                attempt([*words, "--seed", "7"], self.folder, kill_at(write, moment))
                ending = attempt(words, self.folder)
                trouble = ending.said[-300:] if ending.status else self.same(name, run)
                self.tally.record("kill while overwriting", f"{name} {write}, {moment}", trouble)

    def full_disks(self) -> None:
        """Let every write find the disk full."""
        for name in self.names:
            for write in self.sample(list(range(self.writes[name])), 1):
                run = self.fresh()
                words = [*COMMANDS[name], "--out", "run"]
                ending = attempt(words, self.folder, fail_at(write))
                trouble = self.finish(name, run) if ending.is_refusal else ending.said[-300:]
                self.tally.record("disk full", f"{name}, write {write}", trouble)

    def damages(self) -> None:
        """Flip a bit of, or cut, every file of complete and interrupted runs."""
        whole = [p for name in self.names for p in self._files_of(name)]
        self.damages_of_each = -(-DAMAGES // len(whole)) if self.full else 1
        for name in self.names:
            for source in (f"{name}-whole", f"{name}-part"):
                every = [path for path in self._files_of(name) if source in path.parts]
                for path in self.sample(every, 1):
                    for attack, data in self._damaged(path.read_bytes()):
                        run = self.fresh(source)
                        target = run / path.relative_to(self.folder / source)
                        target.write_bytes(data)
                        where = f"{source}/{path.relative_to(self.folder / source)}"
                        self.tally.record(attack, where, self._refused_or_same(name, run))

    def _files_of(self, name: str) -> list[Path]:
        """Return all files of a command's complete and of its interrupted run."""
        runs = (self.folder / f"{name}-whole", self.folder / f"{name}-part")
        return [path for run in runs for path in sorted(run.rglob("*.*")) if path.is_file()]

    def _damaged(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        for _ in range(self.damages_of_each):
            if data:
                flipped = bytearray(data)
                flipped[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
                yield "bit flipped", bytes(flipped)
        for _ in range(self.damages_of_each):
            yield "truncated", data[: self.random.randrange(len(data) or 1)]

    def _refused_or_same(self, name: str, run: Path) -> str | None:
        ending = attempt(["resume", "run"], self.folder)
        if ending.is_refusal:
            return None
        if ending.status != 0:
            return ending.said[-300:]
        result = timeless(json.loads((run / "result.json").read_text()))
        return None if result == self.whole[name]["result.json"] else "accepted, another result"

    def edits(self) -> None:
        """Change every setting of a run's configuration."""
        for name in self.names:
            for source in (f"{name}-whole", f"{name}-part"):
                config = json.loads((self.folder / source / "config.json").read_text())
                for path in self.sample(list(_leaves(config)), 1):
                    run = self.fresh(source)
                    (run / "config.json").write_text(json.dumps(_edited(config, path)))
                    ending = attempt(["resume", "run"], self.folder)
                    trouble = None if ending.is_refusal else f"accepted {ending.said[-300:]}"
                    self.tally.record("setting edited", f"{source} {path}", trouble)

    def exchanges(self) -> None:
        """Put a checkpoint of a run with another seed in place of a run's own."""
        for name in self.names:
            words = [*COMMANDS[name], "--seed", "7", "--out", f"{name}-other"]
            attempt(words, self.folder, stop_before_the_result)
            other = self.folder / f"{name}-other"
            for path in sorted(other.rglob("checkpoint.*")):
                run = self.fresh(f"{name}-part")
                shutil.copy(path, run / path.relative_to(other))
                trouble = self._refused_or_same(name, run)
                self.tally.record("another run's checkpoint", f"{name} {path.name}", trouble)

    def limits(self) -> None:
        """Let files be limited in size, as quotas do."""
        for name in self.names:
            for limit in self.sample([0, 1, 500, 2_000, 5_000, 20_000], 1):
                run = self.fresh()
                words = [*COMMANDS[name], "--out", "run"]
                ending = attempt(words, self.folder, _limit_files(limit))
                if ending.status == 0:
                    trouble = self.same(name, run)
                else:
                    trouble = self.finish(name, run) if ending.is_refusal else ending.said[-300:]
                self.tally.record("limit on the size of files", f"{name}, {limit}", trouble)

    def crowds(self) -> None:
        """Let processes begin, overwrite and resume one folder at once."""
        for number in range(40 if self.full else 1):
            run = self.fresh(None if number % 2 else "train-part")
            words = [*COMMANDS["train"], "--out", "run", *([] if number % 2 else ["--overwrite"])]
            begun = [begin([*words, "--seed", str(seed)], self.folder) for seed in (0, 0, 7)]
            begun += [begin(["resume", "run"], self.folder)]
            endings = [wait(each) for each in begun]
            wrong = [e.said[-300:] for e in endings if e.status != 0 and not e.is_refusal]
            config, result = (json.loads((run / f"{n}.json").read_text()) for n in FINAL)
            if config["seed"] != result["seed"]:
                wrong.append("the result of one run beside the configuration of another")
            self.tally.record("several processes", f"{number}", wrong[0] if wrong else None)


FINAL = ("config", "result")


def _limit_files(size: int) -> Arrange:
    def arrange() -> None:
        # Output is a file, too; the program has to say why it ends.
        out = os.open(os.devnull, os.O_WRONLY)
        os.dup2(out, 1)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        fill = files._fill

        def filling(temporary: Path, data: bytes) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            try:
                fill(temporary, data)
            finally:
                free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
                resource.setrlimit(resource.RLIMIT_FSIZE, free)

        files._fill = filling

    return arrange


def _count(path: Path) -> Arrange:
    def arrange() -> None:
        rename = files._rename

        def renaming(temporary: Path, target: Path) -> None:
            rename(temporary, target)
            with path.open("ab") as stream:
                stream.write(b".")

        files._rename = renaming

    return arrange


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        if isinstance(each, dict | list) and each:
            yield from _leaves(each, (*path, key))
        else:
            yield (*path, key)


def _edited(config: Any, path: tuple[Any, ...]) -> Any:
    config = json.loads(json.dumps(config))
    *way, last = path
    place = config
    for key in way:
        place = place[key]
    old = place[last]
    match old:
        case bool():
            place[last] = not old
        case int() | float():
            place[last] = old + 1
        case str():
            place[last] = f"{old}1"
        case _:
            place[last] = 1
    return config
