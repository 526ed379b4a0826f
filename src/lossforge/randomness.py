"""Explicit randomness: every stream of random numbers is derived from a seed and its purpose.

Nothing here, and nothing in the package, leaves a trace in a global generator.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

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
    with torch.random.fork_rng(devices=_cuda_devices()):
        torch.manual_seed(seed)
        yield


@final
class PrivateStream:
    """The global generators' numbers as a stream of one's own, taken up again where it was left.

    Examples:
        >>> stream = PrivateStream(0)
        >>> with stream.active():
        ...     first = torch.rand(1)
        >>> with stream.active():
        ...     second = torch.rand(1)
        >>> with isolated_seed(0):
        ...     torch.equal(torch.rand(2), torch.cat([first, second]))
        True

    Attributes:
        state: where it was left.
    """

    def __init__(self, seed: int):
        with isolated_seed(seed):
            self.state = RandomState()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draw from this stream inside the block; leave the global generators as they were."""
        with self.state.replayed():
            yield
            self.state = RandomState()


@final
class RandomState:
    """Torch's global generators as they are now, to draw the same numbers again.

    Examples:
        >>> state = RandomState()
        >>> drawn = torch.rand(2)
        >>> with state.replayed():
        ...     torch.equal(torch.rand(2), drawn)
        True
    """

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = {device: torch.cuda.get_rng_state(device) for device in _cuda_devices()}

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Draw from this state inside the block; leave the global generators as they were."""
        with torch.random.fork_rng(devices=_cuda_devices()):
            self.restore()
            yield

    def restore(self) -> None:
        """Go on drawing from this state."""
        torch.set_rng_state(self._cpu)
        for device, state in self._cuda.items():
            torch.cuda.set_rng_state(state, device)


def _cuda_devices() -> list[int]:
    return list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
