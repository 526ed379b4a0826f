"""Files that survive a crash: written whole or not at all, read with `LossforgeError`s."""

import errno
import glob
import json
import math
import os
import re
import secrets
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lossforge.errors import FileFormatError

LEFTOVER = re.compile(
    # Those of this version, and of earlier ones, whose names had no suffix of their own.
    r"\..+\.[0-9a-f]{8}\.tmp"
    r"|\.(config|checkpoint|history|result|loss|learner|table|report)\.(json|jsonl|pt|md)\.\w{8}"
)
"""names of temporary files, which writers that were killed leave behind"""

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "raise the limit on the size of files",
    errno.EACCES: "choose a place that you may read and write",
    errno.EPERM: "choose a place that you may read and write",
    errno.EROFS: "choose a place that can be written to",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "give a file, not a folder",
    errno.EEXIST: "choose another name",
    errno.EMFILE: "raise the limit on open files",
    errno.ELOOP: "check the path, which leads in a circle of links",
}


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    The content goes into a temporary file in the same folder, to the disk, and then takes the
    file's name. A writer that is killed may leave the temporary file; see `sweep`.

    Raises:
        OSError: the file cannot be written; names `path`, which is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    # A name may be as long as the file system allows; that of its temporary file then may not.
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fill(temporary, data)
        _rename(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        _unlink(temporary)
        raise OSError(error.errno, error.strerror, str(path)) from None
    except BaseException:
        _unlink(temporary)
        raise


def _fill(temporary: Path, data: bytes) -> None:
    # Opened here, not by `tempfile`, whose files only their owner may read: the umask decides.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _rename(temporary: Path, path: Path) -> None:
    temporary.replace(path)


def _sync_folder(folder: Path) -> None:
    """Bring a renaming to the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed writers left in a folder that no one writes to."""
    if folder.is_dir():
        for path in folder.iterdir():
            if LEFTOVER.fullmatch(path.name):
                _unlink(path)


SECONDS_OF_A_WRITE = 60
"""after which a temporary file is taken for one whose writer was killed"""


def sweep_stale(path: Path) -> None:
    """Remove the temporary files that killed writers of one file left beside it.

    For files outside the folders of runs, which no lock keeps to one writer: a temporary file that
    is young may be another writer's.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name[:100])}.*.tmp"):
        with suppress(OSError):
            is_old = time.time() - leftover.stat().st_mtime > SECONDS_OF_A_WRITE
            if is_old and LEFTOVER.fullmatch(leftover.name):
                leftover.unlink()


def describe_os_error(error: OSError) -> str:
    """Return what went wrong with a file, and what may help, in one line.

    Examples:
        >>> describe_os_error(OSError(errno.ENOSPC, "No space left on device", "run/result.json"))
        'run/result.json: no space left on device; free some space'
    """
    reason = error.strerror or str(error) or type(error).__name__
    reason = reason[:1].lower() + reason[1:]
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    remedy = REMEDIES.get(error.errno or 0)
    return f"{where}{reason}" + (f"; {remedy}" if remedy else "")


def write_json(path: Path, content: object) -> None:
    """Write plain data as JSON, the same bytes for the same data."""
    write_atomically(path, to_json(content))


def to_json(content: object) -> str:
    """Return plain data as the text of a JSON file, the same for the same data."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def read_regular(path: Path, budget: int | None = None) -> bytes:
    """Read a file whole, unless it has no end or is too large.

    Args:
        path: of the file.
        budget: bytes that it may have; any number where None.

    Raises:
        FileFormatError: it is missing, unreadable, larger, or no regular file (a pipe, a device).
    """
    try:
        # Not after opening: to open a pipe that no one writes to waits for ever.
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise FileFormatError(f"{path} cannot be read: it is no regular file; check the path")
        if budget is not None and found.st_size > budget:
            raise FileFormatError(
                f"{path} is too large: {found.st_size} bytes, more than {budget}; check the path"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise FileFormatError(f"{path} does not exist; check the path") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileFormatError(f"{path} cannot be read: {reason}; check the path") from None


def finite_or_none(value: float) -> float | None:
    """Return a metric as JSON: infinity (the worst) becomes None."""
    return value if math.isfinite(value) else None


def infinite_if_none(value: float | None) -> float:
    """Return the metric that `finite_or_none` was given."""
    return math.inf if value is None else value


def plain(value: Any) -> Any:
    """Return dataclass fields, tuples and numbers as JSON can hold them.

    Infinity (the worst metric, of a run that diverged) and NaN become None, tuples become lists.

    Examples:
        >>> plain({"tests": (0.5, float("inf"))})
        {'tests': [0.5, None]}
    """
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def read_json(path: Path, budget: int | None = None) -> dict[str, object]:
    """Read a JSON object.

    Args:
        path: of the file.
        budget: bytes that it may have; any number where None.

    Raises:
        FileFormatError: where the file is missing, too large, or is not a JSON object.
    """
    data = read_regular(path, budget)
    try:
        content = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from None
    except (ValueError, RecursionError):  # ValueError also where a number has too many digits
        raise FileFormatError(
            f"{path} is damaged: not valid JSON; restore it or make it anew"
        ) from None
    if not isinstance(content, dict):
        raise FileFormatError(f"{path} is damaged: not a JSON object; restore it or make it anew")
    return content
