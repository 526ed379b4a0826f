"""SIGTERM and SIGHUP end the program as Ctrl-C does: with a message of how to go on."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import final

NAMES = ("SIGTERM", "SIGHUP")
"""of a scheduler whose time is up, and of a terminal that was closed; Windows lacks the latter"""


@final
class StoppedBySignal(KeyboardInterrupt):
    """Raised where a signal asks the program to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__()
        self.number = number


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Raise `StoppedBySignal` at SIGTERM and SIGHUP inside a `with` block.

    A signal that the program was started to ignore, as `nohup` does, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            raise StoppedBySignal(number)
        # A worker that inherited this by forking ends as it would without it.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    known = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    taken = [number for number in known if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Hold signals back inside a `with` block, and send the first at its end.

    An interruption in the middle of an import can end in a module that is half there, or in a
    callback of Python's own, which prints a traceback and goes on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = {}
    for name in ("SIGINT", *NAMES):
        number = getattr(signal, name, None)
        if number is not None and callable(signal.getsignal(number)):
            before[number] = signal.signal(number, lambda got, _: held.append(got))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])
