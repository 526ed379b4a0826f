"""The lock of a run's folder: one process at a time writes to it."""

import errno
import json
import os
import socket
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import final

from lossforge.errors import FileFormatError, RunError
from lossforge.files import read_json

NAME = ".lock"

UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""of file systems that know no locks"""

MOST_BYTES = 1 << 16
"""of the file of a lock, which says in a line who has it"""

BEYOND = 1 << 30
"""the byte that is locked on Windows, where others could not read a locked byte"""


@final
class FolderLock:
    """Exclusive use of a folder, by the operating system's lock on the file ``.lock`` in it.

    The system takes the lock back when the process ends, however it ends, so that a killed run
    blocks no one. On network file systems a lock holds between machines where the server provides
    locks (NFS 4, NFS 3 with its lock daemon, SMB); where a file system has none, as some mounts of
    object stores, runs are not kept apart.

    Args:
        folder: to be locked; made where it is missing.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lock = FolderLock(Path(folder))
        ...     lock.acquire()
        ...     try:
        ...         FolderLock(Path(folder)).acquire()
        ...     except RunError as error:
        ...         print("is in use by process" in str(error))
        ...     lock.release()
        True
    """

    def __init__(self, folder: Path):
        self._folder, self._file = folder, folder / NAME
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take the lock, without waiting.

        Raises:
            RunError: another process has it; says which.
            OSError: the folder cannot be written to.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        while self._handle is None:
            handle = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(handle)
            except OSError as error:
                os.close(handle)
                if error.errno in UNSUPPORTED:
                    return
                raise RunError(self._in_use()) from None
            # Whoever had the lock may have removed the file after it was opened here.
            if self._is_current(handle):
                self._handle = handle
            else:
                os.close(handle)
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        os.ftruncate(self._handle, 0)
        os.write(self._handle, json.dumps(owner).encode())

    def release(self) -> None:
        """Give the lock back; nothing where it is not held."""
        if self._handle is None:
            return
        # Removed while it is still locked: whoever opened it meanwhile finds out and tries again.
        with suppress(OSError):
            self._file.unlink()
        os.close(self._handle)
        self._handle = None

    @property
    def is_held(self) -> bool:
        """Whether this object has the lock."""
        return self._handle is not None

    def _is_current(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), self._file.stat())
        except FileNotFoundError:
            return False

    def _in_use(self) -> str:
        who = "another process"
        with suppress(FileFormatError, KeyError):
            owner = read_json(self._file, MOST_BYTES)
            who = f"process {owner['pid']} on {owner['host']} since {owner['since']}"
        return f"{self._folder} is in use by {who}; wait for it, or choose another --out"


def _lock(handle: int) -> None:
    """Lock an open file for this process alone; OSError where another has it."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, BEYOND, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
