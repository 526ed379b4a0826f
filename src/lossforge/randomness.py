"""Explicit randomness: every stream of random numbers is derived from a seed and its purpose.

Nothing here, and nothing in the package, leaves a trace in a global generator.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose, independent of those for others.

    Examples:
        >>> derive_seed(0, "fitness") == derive_seed(0, "fitness")
        True
        >>> derive_seed(0, "fitness") == derive_seed(0, "batches")
        False
    """
    key = "/".join(map(str, (seed, *purpose))).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1


def torch_generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for one purpose.

    Draws are made on the CPU and moved, so that a seed means the same on every device.
    """
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def python_generator(seed: int, *purpose: str | int) -> random.Random:
    """Return a generator of Python's own for one purpose; its state is plain data."""
    return random.Random(derive_seed(seed, *purpose))


@contextmanager
def isolated_seed(seed: int) -> Iterator[None]:
    """Seed torch's global generators inside the block and restore them after it.

    For code that we do not own and that draws from them: module constructors, dropout.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
