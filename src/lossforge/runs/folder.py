"""A run on disk: its configuration, history, checkpoints and results.

``config.json`` is the configuration, ``checkpoint.json`` what a resumed run needs (tensors are in
``checkpoint.pt``), ``history.jsonl`` a line for each round, ``loss.json`` the loss that was found,
``learner.pt`` the weights of a few-shot learner, and ``result.json`` the results. Each is written
whole or not at all, and ``result.json`` last: a run that has one is complete.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import final

from lossforge.errors import FileFormatError, RunError
from lossforge.files import plain, read_json, write_atomically, write_json
from lossforge.losses import Loss, load, save
from lossforge.methods import State

CONFIG, CHECKPOINT, HISTORY = "config.json", "checkpoint.json", "history.jsonl"
LOSS, RESULT, TENSORS = "loss.json", "result.json", "checkpoint.pt"
LEARNER = "learner.pt"


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
        check_free(path, overwrite=overwrite)
        run = cls(path)
        for name in (RESULT, CHECKPOINT, HISTORY, LOSS, TENSORS, LEARNER):
            run._file(name).unlink(missing_ok=True)
        write_json(run._file(CONFIG), config)
        return run

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Open the folder of a run that was begun.

        Raises:
            RunError: there is no run.
        """
        if not (path / CONFIG).is_file():
            raise RunError(f"{path} holds no run: it has no {CONFIG}; check the path")
        return cls(path)

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
        if not isinstance(content, dict) or saved.get("checksum") != _checksum(content):
            raise FileFormatError(
                f"{self._file(CHECKPOINT)} is damaged: its checksum does not match; "
                "delete it to start this run anew"
            )
        self._before = content["seconds"]
        self.history = content["history"]
        state: State = content["state"]
        return state

    def checkpoint(self, state: State, entry: State) -> None:
        """Write the state to resume from, and the history with one more line."""
        self.history = [*self.history, entry | {"seconds": round(self.seconds, 3)}]
        content = {"seconds": self.seconds, "history": self.history, "state": state}
        write_json(self._file(CHECKPOINT), {"checksum": _checksum(content), "content": content})
        self._write_history(self.history)

    def checkpoint_bytes(self, state: bytes, history: list[State]) -> None:
        """Write the state to resume from where it is tensors, and the whole history."""
        write_atomically(self._file(TENSORS), state)
        content = {"seconds": self.seconds, "history": history, "state": {}}
        write_json(self._file(CHECKPOINT), {"checksum": _checksum(content), "content": content})
        self._write_history(history)

    def restore_bytes(self) -> bytes | None:
        """Return the last checkpoint's tensors, None where there are none.

        Raises:
            FileFormatError: the checkpoint is damaged.
        """
        if self.restore() is None or not self._file(TENSORS).exists():
            return None
        return self._file(TENSORS).read_bytes()

    def child(self, name: str, config: State) -> "RunFolder":
        """Return the run in a folder of this one, begun anew where there is none of `config`.

        A run that was overwritten leaves its children behind; those of another configuration are
        discarded.
        """
        path = self.path / name
        if (path / CONFIG).exists() and read_json(path / CONFIG) == plain(config):
            return RunFolder.open(path)
        return RunFolder.create(path, config, overwrite=True)

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

    @property
    def learner(self) -> bytes | None:
        """The weights of a few-shot learner, None where there are none."""
        return self._file(LEARNER).read_bytes() if self._file(LEARNER).exists() else None

    def write_result(self, result: State) -> None:
        """Write the results; this completes the run, so everything else is written before."""
        write_json(self._file(RESULT), result)

    @property
    def result(self) -> State | None:
        """The results, None while the run is not complete."""
        return read_json(self._file(RESULT)) if self._file(RESULT).exists() else None

    def _write_history(self, history: list[State]) -> None:
        self.history = history
        lines = "".join(json.dumps(line) + "\n" for line in history)
        write_atomically(self._file(HISTORY), lines)

    def _file(self, name: str) -> Path:
        return self.path / name


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a folder that a new run cannot have; nothing is written.

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
                f"`lossforge resume {path}`, or discard it with --overwrite"
            )
    elif any(path.iterdir()):
        raise RunError(f"{path} holds files that are not a run's; choose another --out")


def _checksum(content: State) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
