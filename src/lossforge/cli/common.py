"""What commands share: where runs lie, devices, data that must not change, interruptions."""

import re
import sys
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path

import torch

from lossforge.errors import ConfigurationError, FileFormatError, RunError
from lossforge.methods import State
from lossforge.runs import RunFolder
from lossforge.tasks import Task, load


def conclude(
    folder: RunFolder,
    carry_out: Callable[[RunFolder], None],
    report: Callable[[State, Path], None],
) -> int:
    """Carry out what is left of a run, and report what came of it."""
    if folder.result is None:
        try:
            carry_out(folder)
        except KeyboardInterrupt:
            print(
                f"lossforge: interrupted; go on with: lossforge resume {folder.path}",
                file=sys.stderr,
            )
            raise
    assert folder.result is not None
    report(folder.result, folder.path)
    return 0


def require_fields(config: State, fields: set[str], path: Path) -> None:
    """Raise `FileFormatError` unless a configuration is whole."""
    if missing := fields - set(config):
        raise FileFormatError(f"{path}/config.json is damaged: {min(missing)} is missing")


def load_unchanged(config: State, name: str, fingerprint: str, path: Path) -> Task:
    """Load a task that a run was begun on.

    Raises:
        RunError: its data have changed.
    """
    task = load(name, device=config["device"], data_dir=config.get("data_dir"))
    if task.fingerprint() != fingerprint:
        raise RunError(
            f"the data of {name} have changed since {path} was begun; restore them or start anew"
        )
    return task


def absolute(folder: Path | None) -> str | None:
    """Return a folder as a run remembers it, wherever it is resumed from."""
    return None if folder is None else str(folder.resolve())


def pick_device(name: str) -> torch.device:
    """Return the device of that name; auto is a GPU if there is one.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"device {name!r} cannot be used: {reason}") from None
    return device


def free_folder(name: str) -> Path:
    """Return the first of runs/NAME, runs/NAME-2, ... that does not exist."""
    first = Path("runs") / re.sub(r"[^\w.-]+", "_", name)
    candidates = chain([first], (first.with_name(f"{first.name}-{i}") for i in count(2)))
    return next(path for path in candidates if not path.exists())
