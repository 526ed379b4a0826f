"""A limit of time for pure Python code that offers none of its own, in any thread."""

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")

_EVENTS_PER_CHECK = 200


class _Expired(BaseException):
    """Nobody else's to catch, as an `Exception` would be."""


def within(seconds: float, function: Callable[[], Result]) -> Result | None:
    """Return what `function` returns, or None if that computes for longer than `seconds`.

    Time of the processor counts, not of the clock: what a busy machine computes is the same.
    A profiling hook watches the calls that Python code makes; it stands in for the thread's own
    profiler for the while. A single long call into C is not interrupted, nor is anything under a
    profiler written in C, such as `cProfile`, which Python code cannot put back.

    Examples:
        >>> within(1.0, lambda: 42)
        42
    """
    previous: Any = sys.getprofile()
    if previous is not None and not callable(previous):
        return function()
    stop = time.thread_time() + seconds
    events = 0

    def check(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal events
        events += 1
        if events % _EVENTS_PER_CHECK == 0 and time.thread_time() > stop:
            raise _Expired

    sys.setprofile(check)
    try:
        return function()
    except _Expired:
        return None
    finally:
        sys.setprofile(previous)
