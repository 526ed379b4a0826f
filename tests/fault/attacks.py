"""Attacks on runs: killed, damaged, edited and crowded ones end as they should, or in one line.

    python tests/fault/attacks.py [--full] [--seed N]

prints a table (attack, tries, survived) and every try that was not survived; its exit status is 1
where there is one. A try is survived if the program ends with the result of an undisturbed run, or
refuses in a line that begins with "lossforge: ". Each try is a forked process, killed where a file
is written: `files._fill` and `files._rename` are what every write goes through.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lossforge import files
from lossforge.cli import COMMANDS as CLI
from lossforge.cli import main
from lossforge.errors import LossforgeError
from lossforge.losses import NeuralLoss, SymbolicLoss, load, save
from lossforge.runs import RunFolder

FEW_SHOT = ["--task", "clusters", "--ways", "3", "--queries", "3", "--width", "4"]
FEW_SHOT += ["--meta-steps", "2", "--pretrain-steps", "1", "--valid-tasks", "2"]
FEW_SHOT += ["--test-tasks", "2", "--check-every", "1"]
SEARCH = ["--population", "4", "--generations", "2", "--meta-steps", "2", "--fitness-steps", "4"]
SEARCH += ["--filter-steps", "5", "--compare-seeds", "1", "--compare-steps", "4"]
LINEAR = ["--task", "iris", "--model", "linear"]
STEPS = ["--steps", "4", "--check-every", "2"]

COMMANDS = {
    "search": ["search", "evomal", *LINEAR, *SEARCH],
    "train": ["train", *LINEAR, *STEPS],
    "compare": ["compare", *LINEAR, *STEPS, "--losses", "cross_entropy", "focal", "--seeds", "1"],
    "fewshot": ["fewshot", "maml", *FEW_SHOT],
    "ablation": ["fewshot", "ablation", *FEW_SHOT, "--variants", "maml", "protonet"],
}

LOADED_LATE = ("sklearn.datasets", "sklearn.model_selection", "scipy.stats", "matplotlib.figure")
"""what commands load on use"""

MOMENTS = ("before", "half-way", "before the rename", "after the rename")

SECONDS = 120
"""after which a try hangs, on a busy machine"""

Arrange = Callable[[], None]


@dataclass(frozen=True)
class Ending:
    """How a try ended: its exit status, None where it was killed, and what it said."""

    status: int | None
    said: str

    @property
    def is_refusal(self) -> bool:
        lines = [line for line in self.said.splitlines() if line.startswith("lossforge: ")]
        return self.status == 2 and len(lines) == 1 and "Traceback" not in self.said


def attempt(words: list[str], folder: Path, arrange: Arrange | None = None) -> Ending:
    """Run the program in a forked process, in a folder, after `arrange` was called there."""
    return wait(begin(words, folder, arrange))


def begin(words: list[str], folder: Path, arrange: Arrange | None = None) -> tuple[int, Path]:
    handle, name = tempfile.mkstemp()
    process = os.fork()
    if process:
        os.close(handle)
        return process, Path(name)
    status = 99
    try:
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
    while (found := os.waitpid(process, os.WNOHANG))[0] == 0:
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return Ending(98, f"hung for {SECONDS} s")
        time.sleep(0.002)
    said = output.read_text(errors="replace")
    output.unlink()
    return Ending(None if os.WIFSIGNALED(found[1]) else os.WEXITSTATUS(found[1]), said)


def kill_at(write: int, moment: str) -> Arrange:
    """Return what makes a process die at its n-th write, from 0."""

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    return _at(write, moment, die)


def fail_at(write: int) -> Arrange:
    """Return what makes a process find the disk full from its n-th write on."""

    def full() -> None:
        raise OSError(28, "No space left on device", "temporary")

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
            found[name] = _timeless(json.loads(path.read_text()))
        elif path.name == "history.jsonl":
            found[name] = [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.name in ("loss.json", "loss.safetensors"):
            found[name] = path.read_bytes()
        elif path.name.startswith("."):
            found[name] = "a leftover"
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if key != "seconds"}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


@dataclass
class Attacks:
    """The attacks, what they tried, and what was not survived.

    Attributes:
        folder: to work in.
        full: try everything; else a sample that takes seconds.
        random: draws the sample.
    """

    folder: Path
    full: bool
    random: random.Random
    tries: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failures: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
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

    def sample(self, items: list[Any], count: int) -> list[Any]:
        """Return all items, or a sample in the short form."""
        return items if self.full or len(items) <= count else self.random.sample(items, count)

    def record(self, attack: str, what: str, trouble: str | None) -> None:
        """Count a try; `trouble` is why it was not survived."""
        self.tries[attack] += 1
        if trouble is not None:
            self.failures.append((attack, f"{what}: {trouble}"))

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
                self.record(f"kill: {name}", f"write {write}, {moment}", trouble)

    def repeated_kills(self) -> None:
        """Kill a run, and again as it goes on, and again."""
        for number in range(400 if self.full else 2):
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
            self.record("kill three times", f"{name} {killed}", trouble)

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
                self.record("kill while overwriting", f"{name} {write}, {moment}", trouble)

    def full_disks(self) -> None:
        """Let every write find the disk full."""
        for name in self.names:
            for write in self.sample(list(range(self.writes[name])), 1):
                run = self.fresh()
                words = [*COMMANDS[name], "--out", "run"]
                ending = attempt(words, self.folder, fail_at(write))
                trouble = self.finish(name, run) if ending.is_refusal else ending.said[-300:]
                self.record("disk full", f"{name}, write {write}", trouble)

    def damages(self) -> None:
        """Flip a bit of, or cut, every file of complete and interrupted runs."""
        for name in self.names:
            for source in (f"{name}-whole", f"{name}-part"):
                every = sorted(p for p in (self.folder / source).rglob("*.*") if p.is_file())
                for path in self.sample(every, 1):
                    for attack, data in self._damaged(path.read_bytes()):
                        run = self.fresh(source)
                        target = run / path.relative_to(self.folder / source)
                        target.write_bytes(data)
                        where = f"{source}/{path.relative_to(self.folder / source)}"
                        self.record(attack, where, self._refused_or_same(name, run))

    def _damaged(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        for _ in range(12 if self.full else 1):
            if data:
                flipped = bytearray(data)
                flipped[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
                yield "bit flipped", bytes(flipped)
        for _ in range(4 if self.full else 1):
            yield "truncated", data[: self.random.randrange(len(data) or 1)]

    def _refused_or_same(self, name: str, run: Path) -> str | None:
        ending = attempt(["resume", "run"], self.folder)
        if ending.is_refusal:
            return None
        if ending.status != 0:
            return ending.said[-300:]
        result = _timeless(json.loads((run / "result.json").read_text()))
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
                    self.record("setting edited", f"{source} {path}", trouble)

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
                self.record("another run's checkpoint", f"{name} {path.name}", trouble)

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
            self.record("several processes", f"{number}", wrong[0] if wrong else None)

    def losses(self) -> None:
        """Change bytes of loss files: what is read is a loss, or refused."""
        network = NeuralLoss()
        for kind, loss in (("symbolic", SymbolicLoss("-2*y*log(p) + abs(y - p)")), ("nn", network)):
            path = self.folder / f"{kind}.json"
            save(loss, path)
            whole = path.read_bytes()
            for _ in range(1000 if self.full else 100):
                changed = bytearray(whole)
                for _ in range(self.random.randint(1, 4)):
                    changed[self.random.randrange(len(whole))] = self.random.randrange(256)
                path.write_bytes(changed)
                trouble, began = None, time.monotonic()
                try:
                    load(path)
                except LossforgeError as error:
                    trouble = "two lines" if "\n" in str(error) else None
                except Exception as error:
                    trouble = repr(error)
                if time.monotonic() - began > 5:
                    trouble = "took over 5 s"
                self.record("loss file changed", repr(bytes(changed)), trouble)

    def carry_out(self) -> None:
        """Try all attacks."""
        for attack in (
            *(self.kills, self.repeated_kills, self.overwriting, self.full_disks, self.damages),
            *(self.edits, self.exchanges, self.crowds, self.losses),
        ):
            attack()

    def table(self) -> str:
        """Return the table of attacks."""
        lost = [attack for attack, _ in self.failures]
        rows = [(a, str(n), str(n - lost.count(a))) for a, n in self.tries.items()]
        rows = [("attack", "tries", "survived"), *rows]
        rows.append(
            ("all", str(sum(self.tries.values())), str(sum(self.tries.values()) - len(lost)))
        )
        return "\n".join(f"{a:<28}{n:>7}{s:>10}" for a, n, s in rows)


FINAL = ("config", "result")


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


def run(full: bool, seed: int) -> int:
    """Try all attacks, print the table, and return the exit status."""
    # Loaded once, rather than in each of the forked processes.
    for module in (*(f"lossforge.cli.{name}" for name, _ in CLI.values()), *LOADED_LATE):
        if find_spec(module.split(".")[0]):
            import_module(module)
    with tempfile.TemporaryDirectory() as folder:
        attacks = Attacks(Path(folder), full, random.Random(seed))
        attacks.carry_out()
    print(attacks.table())
    for attack, what in attacks.failures:
        print(f"NOT SURVIVED {attack}: {what}")
    return 1 if attacks.failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="try everything; takes minutes")
    parser.add_argument("--seed", type=int, default=0, help="of the sample and of the damages")
    given = parser.parse_args()
    raise SystemExit(run(given.full, given.seed))
