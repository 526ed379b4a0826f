"""Attacks on runs: killed, damaged, edited and crowded ones end as they should, or in one line."""

import errno
import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from fault.commands import (
    COMMANDS,
    STEPS,
)
from fault.harness import (
    MOMENTS,
    Arrange,
    Ending,
    fail_at,
    is_alone,
    kill_at,
    stop_before_the_result,
    wait,
)
from fault.runs import RunTries
from lossforge import files
from lossforge.losses import SymbolicLoss, save

DAMAGES = 1000
"""in full, flipped bits and cuts each, over the files of all commands"""

SIGNALS = {signal.SIGKILL: None, signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""with the exit status that each has"""

ERRORS = (errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO, errno.EMFILE)
"""of writes, besides a full disk"""

HARMLESS = ("report.html", "environment.json", "report.md", "progress.json", "learner.pt")
HARMLESS += ("model.safetensors", "checkpoint.json", "checkpoint.pt", "curves-iris-linear.png")
"""files of a complete run that may be removed"""

KINDS = {
    "config.json": ("train", "part"),
    "checksums.json": ("train", "part"),
    "checkpoint.json": ("search random", "part"),
    "checkpoint.pt": ("train", "part"),
    "history.jsonl": ("search random", "whole"),
    "loss.json": ("search ml3", "whole"),
    "loss.safetensors": ("search ml3", "whole"),
    "learner.pt": ("fewshot", "whole"),
    "model.safetensors": ("train", "whole"),
    "result.json": ("train", "whole"),
}
"""files that runs write, each with a command and how far its run is"""

CROWDED = ("train", "search evomal", "compare", "ablation", "benchmark")

BENCH = ["--models", "linear", "--seeds", "1", *STEPS, "--rival-steps", "2", "--workers", "1"]


class RunAttacks(RunTries):
    """Attacks on the folders of runs."""

    classes = (
        *("kills", "random_kills", "worker_kills", "repeated_kills", "overwriting", "full_disks"),
        *(
            "damages",
            "corruptions",
            "edits",
            "exchanges",
            "replacements",
            "moves",
            "removals",
            "crowds",
            "limits",
        ),
    )

    def kills(self) -> None:
        """Kill at every write of every command, then go on; commands take turns."""
        chosen = []
        for name in self.all_ready():
            points = [(name, n, m) for n in range(self.writes[name]) for m in MOMENTS]
            some = self.sample(points, 1, len(self.names))
            chosen.append(self.random.sample(some, len(some)))
        for turn in zip_longest(*chosen):
            for name, write, moment in filter(None, turn):
                run = self.fresh()
                words = [*COMMANDS[name], "--out", "run"]
                ending = self.attempt(words, kill_at(write, moment))
                trouble = "was not killed" if ending.status is not None else self.finish(name, run)
                self.tally.record(f"kill: {name}", f"write {write}, {moment}", trouble)

    def random_kills(self) -> None:
        """Send signals at any moment of every command, then go on at once."""
        for number in range(self.count(360, 2)):
            name = self.ready(self.names[number % len(self.names)])
            sent = self.random.choice(list(SIGNALS))
            run = self.fresh()
            begun = self.begin([*COMMANDS[name], "--out", "run"])
            time.sleep(self.random.uniform(0.05, 1) * self.seconds[name])
            os.kill(begun[0], sent)
            ending = wait(begun)
            trouble = self._ended_by(sent, ending, run) or self.finish(name, run)
            if not trouble and not is_alone(begun[0]):
                trouble = "workers were left behind"
            self.tally.record("signal at any moment", f"{name}, {sent.name}", trouble)

    def _ended_by(self, sent: signal.Signals, ending: Ending, run: Path) -> str | None:
        if sent == signal.SIGKILL or (ending.status == 0 and (run / "result.json").exists()):
            return None
        lines = [line for line in ending.said.splitlines() if line.startswith("lossforge: ")]
        if ending.status != SIGNALS[sent] or len(lines) != 1 or "Traceback" in ending.said:
            return f"status {ending.status}: {ending.said[-300:]}"
        return None

    def worker_kills(self) -> None:
        """Kill a worker once, where it writes or at any moment: the run ends as if it had not."""
        names = [name for name in COMMANDS if "workers" in name]
        for number in range(self.count(50, 0)):
            name = self.ready(names[number % len(names)])
            run, mark = self.fresh(), self.folder / f"killed-{number}"
            delay = self.random.uniform(0, 0.3)
            words = [*COMMANDS[name], "--out", "run"]
            ending = self.attempt(words, _kill_a_worker(mark, delay))
            trouble = ending.said[-300:] if ending.status != 0 else self.same(name, run)
            self.tally.record("worker killed", f"{name} after {delay:.2f} s", trouble)

    def repeated_kills(self) -> None:
        """Kill a run, and again as it goes on, and again."""
        for number in range(self.count(108, 1)):
            name = self.ready(self.names[number % len(self.names)])
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
        for name in self.all_ready():
            points = [(n, m) for n in range(self.writes[name]) for m in MOMENTS]
            chosen = self.random.sample(points, min(len(points), self.count(6, 1)))
            for write, moment in chosen if self.full or name != "train" else []:
                run = self.fresh(f"{name}-part" if write % 2 else f"{name}-whole")
                words = [*COMMANDS[name], "--out", "run", "--overwrite"]
                self.attempt([*words, "--seed", "7"], kill_at(write, moment))
                ending = self.attempt(words)
                trouble = ending.said[-300:] if ending.status else self.same(name, run)
                self.tally.record("kill while overwriting", f"{name} {write}, {moment}", trouble)

    def full_disks(self) -> None:
        """Let a write, and all after it, find the disk full, or closed to it."""
        for name in self.all_ready():
            points = [(n, errno.ENOSPC) for n in range(self.writes[name])]
            points += [(n, self.random.choice(ERRORS)) for n in range(0, self.writes[name], 3)]
            for write, number in self.sample(points, 1):
                run = self.fresh()
                ending = self.attempt([*COMMANDS[name], "--out", "run"], fail_at(write, number))
                if ending.status == 0:  # there were fewer writes than in the undisturbed run
                    trouble = self.same(name, run)
                else:
                    trouble = self.finish(name, run) if ending.is_refusal else ending.said[-300:]
                what = "disk full" if number == errno.ENOSPC else "write refused"
                self.tally.record(what, f"{name}, {write}, {errno.errorcode[number]}", trouble)

    def damages(self) -> None:
        """Flip a bit of, or cut, every file of complete and interrupted runs."""
        whole = [p for name in self.all_ready() for p in self._files_of(name)]
        self.damages_of_each = -(-DAMAGES // len(whole)) if self.full else 1
        for name in self.all_ready():
            for source in (f"{name}-whole", f"{name}-part"):
                every = [path for path in self._files_of(name) if source in path.parts]
                for path in self.sample(every, 1):
                    self._damage(name, source, path)

    def _damage(self, name: str, source: str, path: Path) -> None:
        for attack, data in self._damaged(path.read_bytes()):
            run = self.fresh(source)
            (run / path.relative_to(self.folder / source)).write_bytes(data)
            where = f"{source}/{path.relative_to(self.folder / source)}"
            self.tally.record(attack, where, self.read_by_one(run) or self.undamaged(name, run))

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

    def corruptions(self) -> None:
        """Change each kind of file that a run writes, many times: none is read as something else.

        Every tenth is also read by a command that only reads runs.
        """
        kinds = list(KINDS.items()) if self.full else self.random.sample(list(KINDS.items()), 1)
        for _, (name, _) in kinds:
            self.ready(name)
        for number in range(self.count(1000, 2)):
            for file, (name, part) in kinds:
                source = self.folder / f"{name}-{part}"
                run = self.fresh(source.name)
                (run / file).write_bytes(self._corrupted((source / file).read_bytes()))
                trouble = self.undamaged(name, run)
                if not trouble and number % 10 == 0:
                    trouble = self.read_by_one(run)
                self.tally.record(f"corrupted: {file}", f"{source.name} {number}", trouble)

    def _corrupted(self, data: bytes) -> bytes:
        """Return other bytes: with flipped bits, cut, with a piece missing, doubled or zeroed."""
        start = self.random.randrange(len(data))
        end = self.random.randint(start + 1, min(len(data), start + 64))
        match self.random.randrange(6):
            case 0:
                return data[:start]
            case 1:
                return data[:start] + data[end:]
            case 2:
                return data[:end] + data[start:]
            case 3:
                changed = data[:start] + bytes(end - start) + data[end:]
            case _:
                changed = data
        flipped = bytearray(changed)
        for _ in range(self.random.randint(1, 3)):
            flipped[self.random.randrange(len(flipped))] ^= 1 << self.random.randrange(8)
        return bytes(flipped)

    def edits(self) -> None:
        """Change every setting of a run's configuration."""
        for name in self.all_ready():
            for source in (f"{name}-whole", f"{name}-part"):
                config = json.loads((self.folder / source / "config.json").read_text())
                for path in self.sample(list(_leaves(config)), 1):
                    run = self.fresh(source)
                    (run / "config.json").write_text(json.dumps(_edited(config, path)))
                    ending = self.attempt(["resume", "run"])
                    trouble = None if ending.is_refusal else f"accepted {ending.said[-300:]}"
                    self.tally.record("setting edited", f"{source} {path}", trouble)

    def exchanges(self) -> None:
        """Put a file of a run with another seed in place of a run's own."""
        for name in self.all_ready():
            words = [*COMMANDS[name], "--seed", "7", "--out"]
            self.attempt([*words, f"{name}-other-part"], stop_before_the_result)
            self.attempt([*words, f"{name}-other-whole"])
            for kind in ("part", "whole"):
                other = self.folder / f"{name}-other-{kind}"
                found = [path for path in sorted(other.rglob("*.*")) if path.is_file()]
                for path in self.sample(found, 1):
                    run = self.fresh(f"{name}-{kind}")
                    target = run / path.relative_to(other)
                    if target.parent.is_dir():
                        shutil.copy(path, target)
                    trouble = self.read_by_one(run) or self.undamaged(name, run)
                    what = f"{name}, {kind}: {path.relative_to(other)}"
                    self.tally.record("another run's file", what, trouble)

    def replacements(self) -> None:
        """Replace the loss file or the data between the kill and the resume: it is refused."""
        attacks = {
            "loss: train": (["train", *_of_table("table.csv"), *STEPS, "--loss", "my.json"], True),
            "loss: compare": (
                ["compare", *_of_table("table.csv"), *STEPS, "--seeds", "1", "--losses", "my.json"],
                True,
            ),
            "data: train": (["train", *_of_table("table.csv"), *STEPS], False),
            "data: compare": (
                ["compare", *_of_table("table.csv"), *STEPS, "--losses", "focal", "--seeds", "1"],
                False,
            ),
            "data: benchmark": (
                ["benchmark", "--tasks", "csv:table.csv:y", *BENCH, "--methods", "focal:gamma=1"],
                False,
            ),
            "data: search": (
                [
                    *COMMANDS["search gp-lfl"][:2],
                    *_of_table("table.csv"),
                    *COMMANDS["search gp-lfl"][6:],
                ],
                False,
            ),
        }
        for what, (words, is_loss) in self.sample(list(attacks.items()), 1):
            self._write_inputs(1)
            run = self.fresh()
            begun = self.attempt([*words, "--out", "run"], stop_before_the_result)
            if begun.status is not None:
                self.tally.record("input replaced", what, f"did not begin: {begun.said[-300:]}")
                continue
            self._write_inputs(2, loss=is_loss, data=not is_loss)
            ending = self.attempt(["resume", "run", "--workers", "1"])
            trouble = None if ending.is_refusal else f"accepted {ending.said[-300:]}"
            self.tally.record("input replaced", what, trouble)
            self._write_inputs(1)
            ending = self.attempt(["resume", "run", "--workers", "1"])
            trouble = None if ending.status == 0 else ending.said[-300:]
            self.tally.record("input restored", what, trouble)
            assert run.is_dir()

    def _write_inputs(self, number: int, *, loss: bool = True, data: bool = True) -> None:
        if loss:
            save(SymbolicLoss(f"-{number}*y*log(p)"), self.folder / "my.json")
        if data:
            rows = [f"{(i * 7 * number) % 13},{i % 5},{i % 2}" for i in range(80)]
            (self.folder / "table.csv").write_text("\n".join(["a,b,y", *rows]))

    def moves(self) -> None:
        """Move, copy, rename and link a run that was interrupted, and go on there."""
        for name in self.all_ready():
            places = ["moved/deep/run", "ein Lauf, 走 🏃", "a" * 200, "[b]x[/b]", "-run", "link"]
            for place in self.sample(places, 1):
                self.fresh()
                target = self.folder / "moved" / place
                shutil.rmtree(self.folder / "moved", ignore_errors=True)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(self.folder / f"{name}-part", self.folder / "run")
                if place == "link":
                    target.symlink_to(self.folder / "run", target_is_directory=True)
                else:
                    shutil.move(self.folder / "run", target)
                ending = self.attempt(["resume", f"moved/{place}", "--workers", "1"])
                trouble = ending.said[-300:] if ending.status else self.same(name, target)
                self.tally.record("run moved", f"{name} to {place[:20]}", trouble)

    def removals(self) -> None:
        """Remove any file: what is not needed is not missed, and else there is a refusal."""
        for name in self.all_ready():
            for source in (f"{name}-whole", f"{name}-part"):
                every = [path for path in self._files_of(name) if source in path.parts]
                for path in self.sample(every, 1):
                    run = self.fresh(source)
                    place = path.relative_to(self.folder / source)
                    (run / place).unlink()
                    trouble = self.read_by_one(run) or self.undamaged(name, run)
                    if not trouble and str(place) in HARMLESS and "whole" in source:
                        ending = self.attempt(["resume", "run"])
                        trouble = ending.said[-300:] if ending.status else None
                    self.tally.record("file removed", f"{source}/{place}", trouble)

    def limits(self) -> None:
        """Let files be limited in size, as quotas do."""
        for name in self.all_ready():
            for limit in self.sample([0, 1, 500, 2_000, 5_000, 20_000], 1):
                run = self.fresh()
                words = [*COMMANDS[name], "--out", "run"]
                ending = self.attempt(words, _limit_files(limit))
                if ending.status == 0:
                    trouble = self.same(name, run)
                else:
                    trouble = self.finish(name, run) if ending.is_refusal else ending.said[-300:]
                self.tally.record("limit on the size of files", f"{name}, {limit}", trouble)

    def crowds(self) -> None:
        """Let processes begin, overwrite and resume one folder at once."""
        for number in range(self.count(40, 1)):
            name = CROWDED[number % len(CROWDED)] if self.full else "train"
            resumes = number // len(CROWDED) % 2 == 0
            run = self.fresh(f"{self.ready(name)}-part" if resumes else None)
            words = [*COMMANDS[name], "--out", "run", *(["--overwrite"] if resumes else [])]
            begun = [self.begin([*words, "--seed", str(seed)]) for seed in (0, 0, 7)]
            begun += [self.begin(["resume", "run"]) for _ in range(2)]
            endings = [wait(each) for each in begun]
            wrong = [e.said[-300:] for e in endings if e.status != 0 and not e.is_refusal]
            trouble = wrong[0] if wrong else _mixed(run)
            self.tally.record("several processes", f"{name} {number}", trouble)


def _mixed(run: Path) -> str | None:
    """Return what is wrong with the results of the one that had the folder last."""
    if not (run / "result.json").exists():
        return "nobody completed the run"
    config, result = (json.loads((run / f"{n}.json").read_text()) for n in ("config", "result"))
    seed = config["grid"]["first_seed"] if "grid" in config else config["seed"]
    if seed != result["seed"]:
        return "the result of one run beside the configuration of another"
    return "a lock was left" if (run / ".lock").exists() else None


def _of_table(path: str) -> list[str]:
    return ["--task", f"csv:{path}:y", "--model", "linear"]


def _kill_a_worker(mark: Path, delay: float) -> Arrange:
    """Return what makes the first worker that is asked to compute die, some time later."""

    def arrange() -> None:
        from lossforge.searching.executors import worker

        load = worker.load_work

        def loading(path: Path) -> Any:
            try:
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return load(path)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, max(delay, 1e-6))
            return load(path)

        worker.load_work = loading

    return arrange


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
