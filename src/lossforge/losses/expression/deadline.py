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
    """Return what `function` returns, or None if that takes longer than `seconds`.

    A profiling hook watches the calls that Python code makes; it stands in for the thread's own
    profiler for the while. A single long call into C is not interrupted.

    Examples:
        >>> within(1.0, lambda: 42)
        42
    """
    stop = time.monotonic() + seconds
    events = 0

    def check(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal events
        events += 1
        if events % _EVENTS_PER_CHECK == 0 and time.monotonic() > stop:
            raise _Expired

    previous = sys.getprofile()
    sys.setprofile(check)
    try:
        return function()
    except _Expired:
        return None
    finally:
        sys.setprofile(previous)
