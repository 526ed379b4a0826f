"""A run on disk: its configuration, history, checkpoints and results.

``config.json`` is the configuration, ``checkpoint.json`` what a resumed run needs (tensors are in
``checkpoint.pt``), ``history.jsonl`` a line for each round, ``loss.json`` the loss that was found,
``learner.pt`` the weights of a few-shot learner, ``model.safetensors`` those of a trained network,
and ``result.json`` the results. Each is written whole or not at all, and ``result.json`` last: a
run that has one is complete. ``checksums.json`` holds what shows that a file was changed or is
another run's; ``.lock`` stands there while a process works on the run.
"""

import hashlib
import json
import re
import shlex
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import final

from safetensors.torch import save as save_tensors
from torch import Tensor

from lossforge.errors import FileFormatError, LossforgeError, RunError
from lossforge.files import (
    LEFTOVER,
    read_json,
    read_regular,
    sweep,
    to_json,
    write_atomically,
    write_json,
)
from lossforge.losses import Loss, load, save
from lossforge.methods import State
from lossforge.runs import lock
from lossforge.runs.checksums import NAME as CHECKSUMS
from lossforge.runs.checksums import Checksums, digest_of, digest_of_file
from lossforge.runs.lock import FolderLock
from lossforge.runs.watcher import Watcher

CONFIG, CHECKPOINT, HISTORY = "config.json", "checkpoint.json", "history.jsonl"
LOSS, RESULT, TENSORS = "loss.json", "result.json", "checkpoint.pt"
WEIGHTS, LEARNER, LOSSES = "loss.safetensors", "learner.pt", "losses"
MODEL = "model.safetensors"
CELLS = "cells"
"""folder of the runs that a run is made of"""

PROGRESS = "progress.json"
"""what a process that works on the run is doing, for `lossforge watch`"""

NEXT_TENSORS = "checkpoint.pt.next"
"""tensors that ``checkpoint.json`` does not speak of yet"""

CHECKED = (CONFIG, CHECKPOINT, TENSORS, HISTORY, LOSS, WEIGHTS, LEARNER, MODEL)
"""files of a complete run whose checksums are kept, besides that of the result"""

NEEDED = frozenset({HISTORY, LOSS, WEIGHTS})
"""of those, what reports are made of; weights and checkpoints may be removed to save space"""

OWN = re.compile(
    rf"{re.escape(lock.NAME)}|{re.escape(CHECKSUMS)}|{RESULT}|{NEXT_TENSORS}"
    rf"|{re.escape(PROGRESS)}(\.new)?|{'|'.join(CHECKED)}|report\.(md|html)|environment\.json"
    r"|table\.md|tables\.tex|cells\.csv|adaptation\.(json|png|svg)"
    r"|((curves|tests)-.*|ranks)\.(png|svg)"
)
"""names of the files that runs write"""


@final
class RunFolder:
    """The folder of one run.

    Args:
        path: of the folder.

    Attributes:
        path: of the folder.
        history: a line for each round, as plain data.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = FolderLock(path)
        self._children: dict[str, RunFolder] = {}
        self._watchers: list[Watcher] = []
        self._is_new = False
        self._before = 0.0
        self.history: list[State] = []
        self._began = time.monotonic()

    @classmethod
    def create(cls, path: Path, config: State, *, overwrite: bool) -> "RunFolder":
        """Begin a run in a new or empty folder.

        Args:
            path: of the folder.
            config: of the run, as plain data.
            overwrite: discard the run that the folder holds.

        Raises:
            RunError: the folder holds a run and `overwrite` is not set, or holds other files.
        """
        run = cls(path)
        run._begin(config, overwrite=overwrite)
        return run

    @classmethod
    def claim(
        cls, path: Path, config: State, *, overwrite: bool, losses: Iterable[Loss] = ()
    ) -> "RunFolder":
        """Begin a run like `create`, and keep other processes out until `release`.

        Args:
            path: of the folder.
            config: of the run, as plain data.
            overwrite: discard the run that the folder holds.
            losses: that have no name to find them by, to be kept with the run.

        Raises:
            RunError: as of `create`, or another process works on the folder.
        """
        check_free(path, overwrite=overwrite)
        run = cls(path)
        run.lock()
        try:
            run._begin(config, overwrite=overwrite, losses=losses)
        except BaseException:
            run.release()
            raise
        return run

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Open the folder of a run that was begun.

        Raises:
            RunError: there is no run.
        """
        if not (path / CONFIG).is_file():
            if (path / CHECKSUMS).is_file():
                raise RunError(f"{path} has lost its {CONFIG}; begin anew with --overwrite")
            raise RunError(f"{path} holds no run: it has no {CONFIG}; check the path")
        return cls(path)

    def lock(self) -> None:
        """Keep other processes out until `release`, and tidy up after those that were killed.

        Raises:
            RunError: another process works on this run.
        """
        self._lock.acquire()
        sweep(self.path)
        sweep(self.path / LOSSES)

    def release(self) -> None:
        """Let other processes work on this run; nothing where it was not locked."""
        for child in self._children.values():
            child.release()
        self._lock.release()

    def tidy(self) -> None:
        """Remove what a process left in a complete run that was killed after its results."""
        if not self._file(lock.NAME).exists():
            return
        for path in sorted(self.path.rglob(CHECKSUMS)):
            # Where another process works, or nothing may be written, there it stays.
            with suppress(OSError, RunError):
                folder = RunFolder(path.parent)
                folder.lock()
                folder.release()

    def verify(self) -> None:
        """Check that nobody changed what the run was begun with, nor what it wrote if complete.

        Raises:
            RunError: the configuration was changed, or there are no checksums to tell.
            FileFormatError: a file is damaged.
        """
        config = self.config
        checksums = Checksums.read(self.path)
        checksums.check_config(config, self._file(CONFIG))
        if self.result is not None:
            checksums.check_files(self.path, NEEDED)

    @property
    def config(self) -> State:
        """The configuration that the run was begun with."""
        return read_json(self._file(CONFIG))

    @property
    def seconds(self) -> float:
        """How long the run has taken so far, without interruptions."""
        return self._before + time.monotonic() - self._began

    def restore(self) -> State | None:
        """Return the last checkpoint's state, None where there is none.

        Raises:
            FileFormatError: it is damaged.
        """
        if not self._file(CHECKPOINT).exists():
            return None
        saved = read_json(self._file(CHECKPOINT))
        content = saved.get("content")
        if not isinstance(content, dict) or saved.get("checksum") != digest_of(content):
            raise FileFormatError(
                f"{self._file(CHECKPOINT)} is damaged: its checksum does not match; "
                "delete it to start this run anew"
            )
        self._before = content["seconds"]
        self.history = content["history"]
        if content.get("run") != self._fingerprint:
            raise RunError(
                f"{self._file(CHECKPOINT)} is another run's: of other settings, version, data or "
                "losses; restore this run's own, or delete it to start this run anew"
            )
        self._write_history(self.history)  # killed after the checkpoint, it may lack a line
        state: State = content["state"]
        return state

    def watch(self, watcher: Watcher) -> None:
        """Let a watcher receive what is written from now on."""
        self._watchers.append(watcher)

    def checkpoint(self, state: State, entry: State) -> None:
        """Write the state to resume from, and the history with one more line."""
        self.history = [*self.history, entry | {"seconds": round(self.seconds, 3)}]
        self._write_checkpoint({"state": state})
        for watcher in self._watchers:
            watcher.entry(len(self.history), self.history[-1])

    def checkpoint_bytes(self, state: bytes, history: list[State]) -> None:
        """Write the state to resume from where it is tensors, and the whole history."""
        self.history = history
        # The checkpoint that `checkpoint.json` speaks of is whole at every moment.
        write_atomically(self._file(NEXT_TENSORS), state)
        self._write_checkpoint({"state": {}, "tensors": hashlib.sha256(state).hexdigest()})
        self._file(NEXT_TENSORS).replace(self._file(TENSORS))
        for watcher in self._watchers:
            watcher.entry(len(history), history[-1])

    def restore_bytes(self) -> bytes | None:
        """Return the last checkpoint's tensors, None where there are none.

        Raises:
            FileFormatError: the checkpoint is damaged.
        """
        if self.restore() is None:
            return None
        wanted = read_json(self._file(CHECKPOINT))["content"]["tensors"]  # type: ignore[index]
        for path in (self._file(TENSORS), self._file(NEXT_TENSORS)):
            if path.is_file():
                content = read_regular(path)
                if hashlib.sha256(content).hexdigest() == wanted:
                    return content
        raise FileFormatError(
            f"{self._file(TENSORS)} is damaged or another run's: its checksum does not match; "
            f"restore it, or delete {CHECKPOINT} to start this run anew"
        )

    def child(self, name: str, config: State) -> "RunFolder":
        """Return the run in a folder of this one, begun with `config` where there is none.

        One of another configuration, or without a whole one, is begun anew: it is not a part of
        this run.
        """
        if name not in self._children:
            child = RunFolder(self.path / name)
            if self._lock.is_held:
                child.lock()
            if self._is_new or not child._was_begun_with(config):
                child._begin(config, overwrite=True)
            self._children[name] = child
        return self._children[name]

    def child_result(self, name: str, config: State) -> State | None:
        """Return the results of a run in a folder of this one, None where it is not complete.

        One of another configuration, or a damaged one, counts as not complete.
        """
        child = RunFolder(self.path / name)
        if self._is_new or not child._was_begun_with(config):
            return None
        if self._lock.is_held:
            child.tidy()
        return child.result

    def write_loss(self, loss: Loss) -> None:
        """Write the loss that was found."""
        save(loss, self._file(LOSS))

    @property
    def loss(self) -> Loss | None:
        """The loss that was found, None where none was written."""
        return load(self._file(LOSS)) if self._file(LOSS).exists() else None

    def write_learner(self, learner: bytes) -> None:
        """Write the weights of a few-shot learner, as `torch.save` gives them."""
        write_atomically(self._file(LEARNER), learner)

    def write_model(self, weights: Mapping[str, Tensor], about: State) -> None:
        """Write the weights and buffers of a trained network, and what it is, as safetensors.

        Args:
            weights: by name, as ``state_dict`` gives them.
            about: what is needed to construct the network again, as plain data.
        """
        own = {name: each.detach().cpu().contiguous().clone() for name, each in weights.items()}
        write_atomically(self._file(MODEL), save_tensors(own, {"lossforge": json.dumps(about)}))

    @property
    def learner(self) -> bytes | None:
        """The weights of a few-shot learner, None where there are none."""
        return read_regular(self._file(LEARNER)) if self._file(LEARNER).exists() else None

    def write_progress(self, event: State) -> None:
        """Write what is being done, for people who watch; nothing depends on it.

        Not to the disk, as other files are: once a second that would slow a run down. It is left
        out where it cannot be written.
        """
        new = self._file(f"{PROGRESS}.new")
        with suppress(OSError):
            new.write_text(to_json(event), encoding="utf-8")
            new.replace(self._file(PROGRESS))

    @property
    def progress(self) -> State | None:
        """What was being done last; None where nobody knows."""
        try:
            return read_json(self._file(PROGRESS))
        except FileFormatError:
            return None

    def write_result(self, result: State) -> None:
        """Write the results; this completes the run, so everything else is written before."""
        text = to_json(result)
        files = {RESULT: hashlib.sha256(text.encode()).hexdigest()}
        for name in CHECKED:
            if self._file(name).is_file():
                files[name] = digest_of_file(self._file(name))
        Checksums(Checksums.of_config(self.config).config, files).write(self.path)
        write_atomically(self._file(RESULT), text)
        for watcher in self._watchers:
            watcher.result(result)

    @property
    def result(self) -> State | None:
        """The results, None while the run is not complete."""
        return read_json(self._file(RESULT)) if self._file(RESULT).exists() else None

    def _begin(self, config: State, *, overwrite: bool, losses: Iterable[Loss] = ()) -> None:
        check_free(self.path, overwrite=overwrite)
        self._discard()
        for index, loss in enumerate(losses):
            save(loss, self._file(LOSSES) / f"{index}.json")
        Checksums.of_config(config).write(self.path)
        write_json(self._file(CONFIG), config)  # last: a folder that has one can be resumed
        self._is_new = True

    def _discard(self) -> None:
        """Remove the run that the folder holds: first what says that it is complete or begun."""
        if not self.path.is_dir():
            return
        for name in (RESULT, CONFIG):
            self._file(name).unlink(missing_ok=True)
        sweep(self.path)
        for path in self.path.iterdir():
            if _is_own(path) and path.is_file() and path.name != lock.NAME:
                path.unlink()
        for path in self._file(LOSSES).glob("[0-9]*.*"):
            path.unlink()
        for path in self._file(CELLS).glob(f"*/{CHECKSUMS}"):
            shutil.rmtree(path.parent)

    def _was_begun_with(self, config: State) -> bool:
        try:
            self.verify()
            return digest_of(self.config) == digest_of(config)
        except LossforgeError:
            return False

    @property
    def _fingerprint(self) -> str:
        return Checksums.of_config(self.config).fingerprint

    def _write_checkpoint(self, state: State) -> None:
        content = {
            "run": self._fingerprint,
            "seconds": self.seconds,
            "history": self.history,
            **state,
        }
        write_json(self._file(CHECKPOINT), {"checksum": digest_of(content), "content": content})
        self._write_history(self.history)

    def _write_history(self, history: list[State]) -> None:
        lines = "".join(json.dumps(line) + "\n" for line in history)
        path = self._file(HISTORY)
        if not path.is_file() or path.read_bytes() != lines.encode():
            write_atomically(path, lines)

    def _file(self, name: str) -> Path:
        return self.path / name


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a folder that a new run cannot have; nothing is written.

    A folder whose configuration was lost, or never written because the process was killed, counts
    as that of a run if all its files are a run's.

    Raises:
        RunError: it holds a run and `overwrite` is not set, or it holds other files, or is a file.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise RunError(f"{path} is a file; choose a folder with --out")
    if (path / CONFIG).exists():
        if not overwrite:
            raise RunError(
                f"{path} holds another run; choose another --out, continue it with "
                f"`{resume_command(path)}`, or discard it with --overwrite"
            )
        return
    files = [each for each in path.iterdir() if not _is_trace(each)]
    if not all(map(_is_own, files)):
        raise RunError(f"{path} holds files that are not a run's; choose another --out")
    if files and not overwrite:
        raise RunError(
            f"{path} holds a run that has lost its {CONFIG}; choose another --out, or discard it "
            "with --overwrite"
        )


def resume_command(path: Path) -> str:
    """Return what continues a run, as it is typed into a shell.

    Examples:
        >>> resume_command(Path("my runs/first"))
        "lossforge resume 'my runs/first'"
    """
    return f"lossforge resume {shlex.quote(str(path))}"


def _is_trace(path: Path) -> bool:
    """Tell whether a file is nothing but what a killed process left before its run began."""
    if path.name == LOSSES and path.is_dir():
        return all(each.stem.isdigit() or LEFTOVER.fullmatch(each.name) for each in path.iterdir())
    return path.name in (lock.NAME, CHECKSUMS) or LEFTOVER.fullmatch(path.name) is not None


def _is_own(path: Path) -> bool:
    """Tell whether a file or folder is one that runs write."""
    if path.is_dir():
        return path.name in (LOSSES, CELLS) or (path / CHECKSUMS).is_file()
    return _is_trace(path) or OWN.fullmatch(path.name) is not None
