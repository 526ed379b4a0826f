"""The worker: a process that computes jobs until its pool closes, or ends."""

import contextlib
import gc
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

import torch

from lossforge.allocator import keep_freed_memory

SECONDS_BETWEEN_REPORTS = 0.2

KEPT = 2
"""how many functions, with their data, a worker keeps"""

DEVICE = "cuda:0"
"""a worker sees no other GPU than its own"""


class Order(NamedTuple):
    """A job for a worker.

    Attributes:
        number: of the job.
        job: what to compute.
        work: file of the function, with what its jobs share.
    """

    number: int
    job: Any
    work: Path


class Message(NamedTuple):
    """What a worker says.

    Attributes:
        kind: "ready" for orders; "progress" of a job; its result, when it is "done"; "failed" with
            an exception; or "exhausted", when memory did not suffice.
        number: of the job; -1 where it is about none.
        content: the stage, the steps done and their total; the result; the exception; or the
            reason.
    """

    kind: Literal["ready", "progress", "done", "failed", "exhausted"]
    number: int = -1
    content: Any = None


def send(connection: "Connection[Any, Any]", message: Any) -> None:
    """Send something as bytes, all of its tensors in them.

    `Connection.send` would hand tensors over in shared memory, of which containers have little.
    """
    connection.send_bytes(pickle.dumps(message))


def receive(connection: "Connection[Any, Any]") -> Any:
    """Receive what `send` was given, from a process of one's own.

    Raises:
        EOFError: the other process has ended.
    """
    return pickle.loads(connection.recv_bytes())


def save_work(work: object, path: Path) -> None:
    """Write a function, with what its jobs share, for workers on this machine."""
    torch.save(work, path)


def load_work(path: Path) -> Any:
    """Read what `save_work` wrote; workers share the memory of tensors on the CPU.

    The file is this program's own, in a folder that no one else can write to.
    """
    is_mapped = not torch.cuda.is_available()
    return torch.load(path, _place, weights_only=False, mmap=is_mapped)


def _place(storage: Any, location: str) -> Any:
    return storage.cuda(DEVICE) if location.startswith("cuda") else storage


def serve(connection: "Connection[Any, Any]", threads: int) -> None:
    """Compute the jobs that come through a connection, until it is closed.

    Args:
        connection: to the pool.
        threads: of PyTorch.
    """
    keep_freed_memory()
    # Ctrl-C reaches all processes of a terminal; the pool ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    worker = _Worker(connection)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        send(connection, Message("ready"))
        while True:
            worker.carry_out(receive(connection))
    # At once: an interpreter that has loaded much takes seconds to tidy up.
    os._exit(0)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@final
class _Worker:
    def __init__(self, connection: "Connection[Any, Any]"):
        self._connection = connection
        self._works: dict[Path, Callable[..., Any]] = {}

    def carry_out(self, order: Order) -> None:
        """Compute a job, and say what became of it."""
        try:
            result = self._work(order.work)(order.job, self._report_of(order.number))
            message = Message("done", order.number, result)
        except Exception as error:
            message = _failure(order.number, error)
        send(self._connection, message)

    def _work(self, path: Path) -> Callable[..., Any]:
        if path not in self._works:
            while len(self._works) >= KEPT:
                self._works.pop(next(iter(self._works)))
            self._works[path] = load_work(path)
        return self._works[path]

    def _report_of(self, index: int) -> Callable[[str, int, int], None]:
        last, last_stage = 0.0, ""

        def report(stage: str, done: int, total: int) -> None:
            nonlocal last, last_stage
            now = time.monotonic()
            if now - last < SECONDS_BETWEEN_REPORTS and stage == last_stage and done < total:
                return
            last, last_stage = now, stage
            send(self._connection, Message("progress", index, (stage, done, total)))

        return report


def _failure(index: int, error: Exception) -> Message:
    if is_out_of_memory(error):
        reason = " ".join(str(error).split())
        error.__traceback__ = None  # it holds what fills the memory
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return Message("exhausted", index, f"out of memory ({reason[:200] or 'no details'})")
    error.add_note("in a worker:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an exception of any class, that cannot be sent
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return Message("failed", index, error)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception says that memory did not suffice.

    Examples:
        >>> is_out_of_memory(MemoryError())
        True
        >>> is_out_of_memory(ValueError("negative"))
        False
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
