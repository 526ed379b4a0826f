"""A time limit for a whole run, as schedulers of clusters set one."""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar, final

from lossforge.errors import ConfigurationError
from lossforge.validation import require

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST = 3650 * UNITS["d"]
"""seconds; timers know no longer ones"""


@final
class OutOfTime(KeyboardInterrupt):
    """Raised where a run's time limit is over; the run can be resumed."""

    status: ClassVar[int] = 75
    """exit status of the program: EX_TEMPFAIL of sysexits.h, try again"""


def seconds_of(duration: str) -> float:
    """Return a duration in seconds.

    Args:
        duration: a number with s, m, h or d, several of them (1h30m), or H:MM:SS.

    Raises:
        ConfigurationError: it is none of these, or no time at all.

    Examples:
        >>> seconds_of("3h"), seconds_of("1h30m"), seconds_of("0:45:00")
        (10800.0, 5400.0, 2700.0)
    """
    if re.fullmatch(r"(\d+(\.\d+)?[smhd])+", duration):
        parts = re.findall(r"([\d.]+)([smhd])", duration)
        total = sum(float(number) * UNITS[unit] for number, unit in parts)
    elif match := re.fullmatch(r"(\d+):(\d\d):(\d\d)", duration):
        hours, minutes, seconds = map(float, match.groups())
        total = hours * 3600 + minutes * 60 + seconds
    else:
        raise ConfigurationError(
            f"max_time is {duration!r}; write a number with s, m, h or d, such as 3h or 1h30m"
        )
    require(total > 0, f"max_time must be more than nothing, not {duration!r}")
    require(total <= LONGEST, "max_time must be ten years at most; leave it out for no limit")
    return total


@contextmanager
def limited_time(duration: str) -> Iterator[None]:
    """Raise `OutOfTime` in the main thread when a `with` block has taken so long.

    Args:
        duration: as for `seconds_of`; empty for no limit.

    Raises:
        ConfigurationError: the system or the thread knows no timers.
    """
    if not duration:
        yield
        return
    seconds = seconds_of(duration)
    if not hasattr(signal, "setitimer") or not _is_main_thread():
        raise ConfigurationError(
            "max_time needs a system with timers, and the main thread; leave it out"
        )

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
