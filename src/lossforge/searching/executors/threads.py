"""How many threads PyTorch uses in this process."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
