"""How many threads PyTorch uses in this process."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lossforge.validation import require_in_range, require_whole

MOST = 256
"""threads that a process may be given; the system ends one that asks for too many"""


def check_threads(count: int) -> None:
    """Raise `ConfigurationError` unless PyTorch can use so many threads.

    Examples:
        >>> check_threads(4)
        >>> check_threads(10**30)
        Traceback (most recent call last):
        ...
        lossforge.errors.ConfigurationError: threads must be from 1 to 256, not 10000000000000000...
    """
    require_whole("threads", count, 1)
    require_in_range("threads", count, 1, MOST)


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Let PyTorch use so many threads inside a `with` block.

    Sums are split among threads, so that the number of threads changes the last bits of a network's
    weights: it is a setting of a run, and never chosen by how busy a machine is.

    Args:
        count: of threads; None leaves them as they are.

    Examples:
        >>> with limited_threads(1):
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
