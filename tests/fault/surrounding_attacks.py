"""Attacks by what surrounds a run: clocks, folders, disks, links, names, users and readers."""

import datetime
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fault.commands import COMMANDS, LINEAR, READERS, STEPS
from fault.harness import MOMENTS, Arrange, Ending, kill_at, outcome, timeless, wait
from fault.runs import RunTries

WRITERS = {
    "report": (["report", "run", "--out", "page.html"], "page.html"),
    "report in place": (["report", "run"], "run/report.html"),
    "explain": (["explain", "run", "--plots", "plots"], "plots/*"),
    "export": (["export", "run", "--to", "torch", "--out", "loss.py"], "loss.py"),
    "export to LaTeX": (["export", "run", "--to", "latex", "--out", "loss.tex"], "loss.tex"),
    "landscape": (
        [
            *("landscape", "--losses", "focal", "label_smoothing", *LINEAR, "--steps", "2"),
            *("--points", "3", "--rows", "10", "--out", "pictures"),
        ],
        "pictures/*",
    ),
}
"""commands that write files beside runs, and the files"""

FOUND = "search gp-lfl"
"""the command whose run they read: one that finds a loss with a formula"""

YEARS = (1970, 1979, 2001, 2038, 2100, 9999)

STRANGER = 65534
"""number of a user who owns nothing"""

DISK = "64m"

NAMES = (
    *("ein Lauf, 走 🏃", "a" * 255, "é" * 127, "🏃" * 63, "e\u0301", "\u202eneulav", "a\u200bb"),
    *("[b]x[/b]", "-run", "--out", "~", "%s%n", "{0}", "a:b", "a\\b", 'a"b', "a'b", "a;b", "$(x)"),
    *(
        "CON",
        "a.",
        " a ",
        "a\tb",
        "a\nb",
        "\x1b[31m",
        "\udcff",
        "*",
        "?",
        "#",
        "&amp;<b>",
        ".hidden",
    ),
    *("x" * 256, "é" * 128, "/".join(["x" * 100] * 45), "x/" * 500 + "x", "run.json", "runs"),
)
"""of runs: beautiful, odd, as long as can be, and too long"""

ODDITIES = ("a folder", "a pipe", "a link to itself", "a link to nothing", "/dev/zero", "/dev/full")
"""what may stand in place of a file"""


class SurroundingAttacks(RunTries):
    """Attacks by what surrounds a run."""

    classes = (
        *("reader_kills", "clocks", "lost_folders", "streams", "small_disks", "read_only"),
        *("full_workers", "links", "oddities", "odd_names", "umasks", "strangers", "watched"),
    )

    # Commands that write beside runs

    def reader_kills(self) -> None:
        """Kill what writes reports, figures and code: files are whole or none."""
        self.ready(FOUND)
        for name in self.sample(list(WRITERS), 2):
            words, files = WRITERS[name]
            self._begin_beside()
            whole = self.attempt(words)
            expected = {path.name: path.read_bytes() for path in self.folder.glob(files)}
            if whole.status != 0 or not expected:
                self.tally.record(f"kill: {name}", "undisturbed", whole.said[-300:] or "no file")
                continue
            points = [kill_at(n, moment) for n in range(len(expected)) for moment in MOMENTS]
            for number in range(self.count(24, 1)):
                is_at_write = number % 2 == 0
                arrange = self.random.choice(points) if is_at_write else None
                ending = self._killed(words, arrange, whole.seconds)
                trouble = self._is_beside(files, expected)
                if not trouble and ending.status not in (None, 0, *STATUS.values()):
                    trouble = ending.said[-300:]
                if not trouble:
                    again = self.attempt(words)
                    is_there = "exists; choose another" in again.said
                    if again.status != 0 and not (is_there and again.is_refusal):
                        trouble = again.said[-300:]
                    trouble = trouble or self._is_beside(files, expected)
                self.tally.record(f"kill: {name}", f"{number}", trouble)

    def _begin_beside(self) -> None:
        self.fresh(f"{FOUND}-whole")
        for made in ("page.html", "loss.py", "loss.tex"):
            (self.folder / made).unlink(missing_ok=True)
        for made in ("plots", "pictures"):
            shutil.rmtree(self.folder / made, ignore_errors=True)

    def _killed(self, words: list[str], arrange: Arrange | None, seconds: float) -> Ending:
        self._begin_beside()
        if arrange is not None:
            return self.attempt(words, arrange)
        begun = self.begin(words)
        time.sleep(self.random.uniform(0, 1) * seconds)
        sent = self.random.choice([signal.SIGKILL, *STATUS])
        os.kill(begun[0], sent)
        return wait(begun)

    def _is_beside(self, files: str, expected: dict[str, bytes]) -> str | None:
        """Return what is wrong with the files, and with the run that was only read."""
        for path in self.folder.glob(files):
            is_temporary = path.name.startswith(".")
            if not is_temporary and len(path.read_bytes()) != len(expected.get(path.name, b"")):
                return f"{path.name} is not whole"
        left = outcome(self.folder / "run")
        ours = {name: content for name, content in left.items() if content != "a leftover"}
        return None if ours == self.whole[FOUND] else "the run was changed"

    # Time

    def clocks(self) -> None:
        """Set the clock back, again and again, and to other years."""
        for number in range(self.count(72, 2)):
            name = self.ready(self.names[number % len(self.names)])
            year = self.random.choice(YEARS)
            run = self.fresh()
            begun = self.attempt([*COMMANDS[name], "--out", "run"], _clock(year, back=True))
            trouble = begun.said[-300:] if begun.status != 0 else self.same(name, run)
            self.tally.record("clock set back", f"{name} {year}", trouble)
            run = self.fresh(f"{name}-part")
            for path in run.rglob("*"):
                os.utime(path, (2**33, 2**33))  # in the year 2242
            for words in (READERS["watch"], self.resuming(name)):
                ending = self.attempt(words, _clock(year, back=True))
                trouble = ending.said[-300:] if ending.status != 0 else None
                trouble = trouble or (self.same(name, run) if words[0] == "resume" else None)
                self.tally.record("clock set back", f"{words[0]} {name} {year}", trouble)

    # Folders

    def lost_folders(self) -> None:
        """Remove the working directory, before a command or during it."""
        for name in self.sample([*COMMANDS, *READERS, "list"], 3):
            words = COMMANDS.get(name) or READERS.get(name) or ["list", "tasks"]
            words = [*words, "--out", "run"] if name in COMMANDS else words
            ending = self.attempt(words, _leave_nothing)
            trouble = None if ending.status == 0 or ending.is_refusal else ending.said[-300:]
            self.tally.record("no working directory", name, trouble)
        for name in self.all_ready():
            run = self.fresh()
            words = [*COMMANDS[name], "--out", str(run)]
            ending = self.attempt(words, _leave_nothing)
            trouble = ending.said[-300:] if ending.status != 0 else self.same(name, run)
            self.tally.record("no working directory", f"{name}, absolute --out", trouble)
            for _ in range(self.count(3, 1)):
                run = self.fresh()
                begun = self.begin([*COMMANDS[name], "--out", "run"])
                time.sleep(self.random.uniform(0, 1) * self.seconds[name])
                with suppress(OSError):
                    (run).rename(self.folder / "gone")
                    shutil.rmtree(self.folder / "gone", ignore_errors=True)
                ending = wait(begun)
                is_fine = ending.status == 0 or ending.is_refusal
                trouble = None if is_fine else f"{ending.status}: {ending.said[-600:]}"
                self.tally.record("run's folder removed", name, trouble)

    def streams(self) -> None:
        """Close standard input, output or error, or break them: the work is done all the same."""
        for name in self.all_ready():
            for closed in self.sample([(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)], 1):
                run = self.fresh()
                ending = self.attempt([*COMMANDS[name], "--out", "run"], _close(closed))
                trouble = f"{ending.status} {ending.said[-300:]}" if ending.status else None
                trouble = trouble or self.same(name, run)
                self.tally.record("closed streams", f"{name} {closed}", trouble)
        for name in self.sample(list(READERS), 1):
            for closed in self.sample([(1,), (0, 1, 2)], 1):
                self.fresh(f"{self.ready(FOUND)}-whole")
                ending = self.attempt(READERS[name], _close(closed))
                trouble = f"{ending.status} {ending.said[-300:]}" if ending.status else None
                self.tally.record("closed streams", f"{name} {closed}", trouble)
        for words in self.sample(["list tasks", "explain focal", "--help", "train --help"], 1):
            for how in self.sample(
                [">&-", "2>&-", "<&-", "<&- >&- 2>&-", "| head -c 1", "| true"], 1
            ):
                program = f"{sys.executable} -W ignore -m lossforge {words} {how}"
                done = subprocess.run(
                    ["bash", "-c", f"set -o pipefail; {program}"],
                    cwd=self.folder,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                bad = done.returncode != 0 or "Traceback" in done.stderr
                trouble = f"{done.returncode}: {done.stderr[-300:]}" if bad else None
                self.tally.record("closed streams", f"{words} {how}", trouble)

    # Disks

    def small_disks(self) -> None:
        """Write to a real disk that fills up, then give it room and go on."""
        for name in self.all_ready():
            for _ in range(self.count(4, 1)):
                with _disk(self.folder / "disk", f"{self.random.randint(1, 30) * 4}k") as disk:
                    if disk is None:
                        return
                    run = disk / "run"
                    ending = self.attempt([*COMMANDS[name], "--out", str(run)])
                    if ending.status == 0:
                        trouble = self.same(name, run)
                    elif not ending.is_refusal:
                        trouble = ending.said[-500:]
                    else:
                        _remount(disk, f"size={DISK}")
                        trouble = self._goes_on_at(name, run)
                    self.tally.record("small disk", name, trouble)

    def _goes_on_at(self, name: str, run: Path) -> str | None:
        begun = (run / "config.json").exists()
        words = self.resuming(name) if begun else [*COMMANDS[name], "--out", str(run)]
        ending = self.attempt([str(run) if word == "run" and begun else word for word in words])
        return ending.said[-300:] if ending.status != 0 else self.same(name, run)

    def read_only(self) -> None:
        """Read, begin and go on where nothing can be written: what only reads does its work."""
        for name in self.all_ready():
            with _disk(self.folder / "disk", DISK) as disk:
                if disk is None:
                    return
                for part in ("whole", "part"):
                    shutil.copytree(self.folder / f"{name}-{part}", disk / part)
                _remount(disk, "ro")
                tries = [("begin", [*COMMANDS[name], "--out", str(disk / "new")], False)]
                tries += [
                    ("overwrite", [*tries[0][1][:-1], str(disk / "whole"), "--overwrite"], False)
                ]
                tries += [("resume part", ["resume", str(disk / "part")], False)]
                tries += [("resume whole", ["resume", str(disk / "whole")], True)]
                tries += [("report", ["report", str(disk / "whole")], False)]
                tries += [("watch", ["watch", str(disk / "part"), "--once"], True)]
                page = str(self.folder / "page.html")
                tries += [
                    ("report elsewhere", ["report", str(disk / "whole"), "--out", page], True)
                ]
                for what, words, can_be in tries:
                    ending = self.attempt(words)
                    is_fine = ending.status == 0 if can_be else ending.is_refusal
                    trouble = None if is_fine else f"{ending.status}: {ending.said[-400:]}"
                    self.tally.record("read-only disk", f"{name}, {what}", trouble)
            for _ in range(self.count(3, 1)):
                with _disk(self.folder / "disk", DISK) as disk:
                    if disk is None:
                        return
                    self.tally.record("read-only disk", f"{name}, during", self._closed(name, disk))

    def _closed(self, name: str, disk: Path) -> str | None:
        """Let a disk become read-only during a run, and writable again."""
        run = disk / "run"
        begun = self.begin([*COMMANDS[name], "--out", str(run)])
        time.sleep(self.random.uniform(0, 1) * self.seconds[name])
        _remount(disk, "ro")
        ending = wait(begun)
        _remount(disk, "rw")
        if ending.status == 0:
            return self.same(name, run)
        return self._goes_on_at(name, run) if ending.is_refusal else ending.said[-500:]

    def full_workers(self) -> None:
        """Leave no room for what is sent to workers."""
        for name in self.sample([each for each in COMMANDS if "workers" in each], 1):
            self.ready(name)
            with _disk(self.folder / "disk", "4k") as disk:
                if disk is None:
                    return
                (disk / "full").write_bytes(b"")
                with suppress(OSError):
                    (disk / "full").write_bytes(bytes(8192))
                run = self.fresh()
                ending = self.attempt([*COMMANDS[name], "--out", "run"], _temporary(disk))
                trouble = None if ending.status == 0 or ending.is_refusal else ending.said[-500:]
                trouble = trouble or self.finish(name, run)
                self.tally.record("no room for workers", name, trouble)

    # Links and other things in place of files

    def links(self) -> None:
        """Give links that lead in a circle, or nowhere, in place of runs, losses and data."""
        loop, nowhere = self.folder / "loop", self.folder / "nowhere"
        for link, target in ((loop, loop), (nowhere, self.folder / "no" / "thing")):
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        images, texts = self.folder / "pictures-in", self.folder / "texts-in"
        for folder in (images, texts):
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "a").mkdir(parents=True)
            (folder / "a" / "again").symlink_to(folder, target_is_directory=True)
            (folder / "b").symlink_to(folder / "b")
        train = [*COMMANDS["train"], "--out", "run"]
        calls: dict[str, list[str]] = {}
        for link in (loop, nowhere):
            for place in (link, link / "run"):
                calls[f"out {place.name} of {link.name}"] = [
                    *COMMANDS["train"],
                    "--out",
                    str(place),
                ]
                for reader, words in READERS.items():
                    calls[f"{reader} {place.name} of {link.name}"] = [
                        words[0],
                        str(place),
                        *words[2:],
                    ]
                calls[f"resume {place.name} of {link.name}"] = ["resume", str(place)]
            calls[f"loss {link.name}"] = [*train, "--loss", str(link)]
            for form in ("csv:{}:y", "text:{}", "images:{}", "csv:{}/a.csv:y"):
                name = form.format(link)
                calls[f"{form} {link.name}"] = ["train", "--task", name, *STEPS, "--out", "run"]
            calls[f"data {link.name}"] = [
                *("train", "--task", "mnist", "--data-dir", str(link), *STEPS, "--out", "run")
            ]
            calls[f"export to {link.name}"] = [
                "export",
                "focal",
                "--to",
                "torch",
                "--out",
                str(link),
            ]
            calls[f"plots {link.name}"] = ["explain", "focal", "--plots", str(link)]
        calls["folder in itself, images"] = ["train", "--task", f"images:{images}", "--out", "run"]
        calls["folder in itself, texts"] = ["train", "--task", f"text:{texts}", "--out", "run"]
        for what in self.sample(list(calls), 4):
            self.fresh()
            self._refused("links", what, calls[what])
        for what, target in (("loop", "runs"), ("nowhere", "no/thing")):
            place = self.folder / "without-out"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            (place / "runs").symlink_to(target)
            words = COMMANDS["train"]
            self._refused("links", f"runs is {what}", words, lambda place=place: os.chdir(place))

    def _refused(
        self, attack: str, what: str, words: list[str], arrange: Arrange | None = None
    ) -> None:
        ending = self.attempt(words, _limited(arrange))
        is_fine = ending.status == 0 or ending.is_refusal
        self.tally.record(
            attack, what, None if is_fine else f"{ending.status}: {ending.said[-500:]}"
        )

    def oddities(self) -> None:
        """Put a folder, a pipe, a link or a device in place of each file of a run."""
        for name in self.all_ready():
            for part in ("whole", "part"):
                source = f"{name}-{part}"
                found = [
                    path for path in self._files_of(source) if self.full or "cells" not in str(path)
                ]
                points = [
                    (path, odd)
                    for path in [*found, self.folder / source / ".lock"]
                    for odd in ODDITIES
                ]
                for path, odd in self.random.sample(points, min(len(points), self.count(30, 2))):
                    run = self.fresh(source)
                    place = run / path.relative_to(self.folder / source)
                    place.unlink(missing_ok=True)
                    _put(odd, place)
                    self._read_and_resumed(name, run, f"{source}/{place.relative_to(run)} {odd}")

    def _files_of(self, source: str) -> list[Path]:
        return [path for path in sorted((self.folder / source).rglob("*.*")) if path.is_file()]

    def _read_and_resumed(self, name: str, run: Path, what: str) -> None:
        reader = self.random.choice(list(READERS))
        for words in (READERS[reader], self.resuming(name)):
            ending = self.attempt(words, _limited())
            trouble = (
                None
                if ending.status == 0 or ending.is_refusal
                else f"{ending.status}: {ending.said[-500:]}"
            )
            if words[0] == "resume" and ending.status == 0:
                with suppress(OSError):
                    trouble = self.same_result(name, run)
            self.tally.record("odd files", f"{what}, {words[0]}", trouble)

    def same_result(self, name: str, run: Path) -> str | None:
        """Return what is wrong with the result alone: other files may be odd still."""
        found = timeless(json.loads((run / "result.json").read_text()))
        return None if found == self.whole[name]["result.json"] else "another result"

    # Names and users

    def odd_names(self) -> None:
        """Give runs names that are odd, long or too long."""
        for command in self.sample(["train", "search gp-lfl", "ablation"], 1):
            for name in self.sample(list(NAMES), 3):
                shutil.rmtree(self.folder / "named", ignore_errors=True)
                (self.folder / "named").mkdir()
                self.tally.record("names", f"{command} {name[:40]!r}", self._named(command, name))

    def _named(self, command: str, name: str) -> str | None:
        self.ready(command)
        place = f"named/{name}"
        ending = self.attempt([*COMMANDS[command], f"--out={place}"])
        if ending.status != 0:
            return None if ending.is_refusal else ending.said[-300:]
        trouble = self.same(command, self.folder / place)
        for words in (["resume", place], ["report", place], ["watch", place, "--once"]):
            ending = self.attempt(words)
            trouble = trouble or (ending.said[-300:] if ending.status != 0 else None)
        return trouble

    def umasks(self) -> None:
        """Begin a run under one umask and go on under another: files follow it, results do not."""
        masks = (0o000, 0o002, 0o022, 0o027, 0o077, 0o777)
        for name in self.all_ready():
            for _ in range(self.count(5, 1)):
                first, second = self.random.choice(masks), self.random.choice(masks)
                run = self.fresh()
                write = self.random.randrange(self.writes[name])
                kill = kill_at(write, self.random.choice(MOMENTS))
                self.attempt([*COMMANDS[name], "--out", "run"], _under(first, kill))
                ending = self.go_on(name, run, _under(second))
                trouble = ending.said[-300:] if ending.status != 0 else self.same(name, run)
                mode = stat.S_IMODE((run / "result.json").stat().st_mode) if not trouble else 0
                if not trouble and mode != 0o666 & ~second:
                    trouble = f"the mode of the result is {mode:o}"
                self.tally.record("umasks", f"{name} {first:o} {second:o}", trouble)

    def strangers(self) -> None:
        """Let another user, who may or may not write there, read and go on with a run."""
        if os.getuid() != 0:
            return
        for name in self.all_ready():
            for mode in (0o700, 0o755, 0o777):
                for reader in self.sample([*READERS, "resume", "overwrite"], 2):
                    place = Path(tempfile.mkdtemp())  # folders of tests may be closed to others
                    place.chmod(0o755)
                    shutil.copytree(self.folder / f"{name}-part", place / "run")
                    for path in (place / "run").rglob("*"):
                        if path.is_dir():
                            path.chmod(mode)
                    (place / "run").chmod(mode)
                    words = {
                        "resume": self.resuming(name),
                        "overwrite": [*COMMANDS[name], "--out", "run", "--overwrite"],
                    }.get(reader) or READERS[reader]
                    ending = self.attempt(words, _as_stranger(place))
                    is_fine = ending.status == 0 or ending.is_refusal
                    trouble = None if is_fine else f"{ending.status}: {ending.said[-500:]}"
                    if not trouble and reader == "resume" and ending.status == 0:
                        trouble = self.same(name, place / "run")
                    shutil.rmtree(place)
                    self.tally.record("another user", f"{name} {mode:o} {reader}", trouble)

    def watched(self) -> None:
        """Read a run, again and again, while a process works on it, and another begins to."""
        for name in self.all_ready():
            run = self.fresh()
            begun = self.begin([*COMMANDS[name], "--out", "run"])
            for _ in range(self.count(8, 1)):
                reader = self.random.choice([*READERS, "resume"])
                words = READERS.get(reader) or ["resume", "run"]
                ending = self.attempt(words)
                is_fine = ending.status == 0 or ending.is_refusal
                self.tally.record(
                    "read at work", f"{name} {reader}", None if is_fine else ending.said[-500:]
                )
            ending = wait(begun)
            trouble = ending.said[-300:] if ending.status not in (0, 2) else None
            trouble = trouble or self.finish(name, run)
            self.tally.record("read at work", f"{name}, the run", trouble)


STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def _clock(year: int, *, back: bool) -> Arrange:
    """Return what makes the clock of a process stand in a year, and go back with every look."""

    def arrange() -> None:
        now = [datetime.datetime(year, 6, 1).timestamp()]

        def look() -> float:
            now[0] -= 3600 if back else -1
            return now[0]

        time.time = look
        time.time_ns = lambda: int(look() * 1e9)

    return arrange


def _leave_nothing() -> None:
    """Let a process have a working directory that is gone."""
    place = tempfile.mkdtemp()
    os.chdir(place)
    os.rmdir(place)


def _close(numbers: tuple[int, ...]) -> Arrange:
    """Return what leaves a process without some standard streams, as the interpreter starts it."""

    def arrange() -> None:
        for number in numbers:
            os.close(number)
            setattr(sys, ("stdin", "stdout", "stderr")[number], None)

    return arrange


def _limited(arrange: Arrange | None = None) -> Arrange:
    """Return what ends a process that computes for too long, or waits."""

    def limit() -> None:
        if arrange is not None:
            arrange()
        used = round(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + 20, used + 30))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + 2**30
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        signal.alarm(60)  # of waiting: it then ends by a signal, which nothing here is meant to

    return limit


def _temporary(disk: Path) -> Arrange:
    def arrange() -> None:
        tempfile.tempdir = str(disk)

    return arrange


def _under(mask: int, arrange: Arrange | None = None) -> Arrange:
    def set_mask() -> None:
        os.umask(mask)
        if arrange is not None:
            arrange()

    return set_mask


def _as_stranger(place: Path) -> Arrange:
    def arrange() -> None:
        os.chdir(place)
        os.setgroups([])
        os.setgid(STRANGER)
        os.setuid(STRANGER)

    return arrange


def _put(odd: str, place: Path) -> None:
    match odd:
        case "a folder":
            place.mkdir()
        case "a pipe":
            os.mkfifo(place)
        case "a link to itself":
            place.symlink_to(place)
        case "a link to nothing":
            place.symlink_to(place.parent / "no" / "thing")
        case _:
            place.symlink_to(odd)


@contextmanager
def _disk(place: Path, size: str) -> Iterator[Path | None]:
    """Mount a disk of some size inside the block; None where that is not permitted."""
    place.mkdir(exist_ok=True)
    mounted = _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    try:
        yield place if mounted else None
    finally:
        if mounted:
            _run("umount", "-l", str(place))


def _remount(place: Path, option: str) -> None:
    # A file that is open for writing keeps a disk from becoming read-only.
    for _ in range(200):
        if _run("mount", "-o", f"remount,{option}", str(place)):
            return
        time.sleep(0.005)


def _run(*words: str) -> bool:
    return subprocess.run(words, check=False, capture_output=True).returncode == 0
