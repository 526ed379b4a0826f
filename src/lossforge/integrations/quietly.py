"""What both integrations need so that nothing of a user's training changes by an adaptive loss."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from operator import length_hint
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lossforge.errors import ConfigurationError, DataError
from lossforge.randomness import RandomState, derive_seed, isolated_seed
from lossforge.training.hypergradient.jacobian import Gradients

_OF_EVERY_MODULE = frozenset(nn.Module().__dict__) - {"training"}
_NUMPY_SEEDS = 2**32


@contextmanager
def randomness_kept() -> Iterator[None]:
    """Leave the generators of torch, NumPy and `random` as they were before the block."""
    others = random.getstate(), np.random.get_state()
    try:
        with RandomState().replayed():
            yield
    finally:
        random.setstate(others[0])
        np.random.set_state(others[1])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all global generators inside the block; leave them as they were."""
    with randomness_kept(), isolated_seed(seed):
        random.seed(seed)
        np.random.seed(seed % _NUMPY_SEEDS)
        yield


@contextmanager
def attributes_kept(module: nn.Module) -> Iterator[None]:
    """Undo what the block does to attributes of a module, such as counters, lists and metrics.

    Parameters and buffers are not among them. Containers get their contents back one level deep.
    """
    kept = [
        (part.__dict__, name, value, _copied(value))
        for part in module.modules()
        for name, value in part.__dict__.items()
        if name not in _OF_EVERY_MODULE
    ]
    names = [(part.__dict__, set(part.__dict__)) for part in module.modules()]
    try:
        yield
    finally:
        for attributes, known in names:
            for name in set(attributes) - known:
                del attributes[name]
        for attributes, name, value, contents in kept:
            attributes[name] = _with_contents(value, contents)


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone() if value.is_leaf else value
    return copy(value) if type(value) in (list, dict, set, deque) else value


def _with_contents(value: Any, contents: Any) -> Any:
    """Return a container refilled with the contents it had; the contents of anything else."""
    if type(value) in (list, deque):
        value.clear()
        value.extend(contents)
    elif type(value) in (dict, set):
        value.clear()
        value.update(contents)
    elif isinstance(value, Tensor):
        return value if torch.equal(value, contents) else contents
    return value


@contextmanager
def gradients_kept(parameters: list[Tensor]) -> Iterator[None]:
    """Leave the gradients that the block clears at the parameters."""
    kept = [theta.grad for theta in parameters]
    try:
        yield
    finally:
        for theta, g in zip(parameters, kept, strict=True):
            theta.grad = g


@contextmanager
def before_scheduling(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Give the optimizer the learning rates that its schedule is a fraction of.

    A loss that is warmed up at a rate of 0, at which many schedules begin, learns nothing.
    """
    kept = [group["lr"] for group in optimizer.param_groups]
    try:
        for group in optimizer.param_groups:
            group["lr"] = max(group["lr"], group.get("initial_lr", 0), group.get("max_lr", 0))
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, kept, strict=True):
            group["lr"] = rate


@contextmanager
def scaler_kept(scaler: torch.amp.GradScaler | None) -> Iterator[None]:
    """Undo what the block does to a scaler's scale."""
    kept = None if scaler is None else scaler.state_dict()
    try:
        yield
    finally:
        if scaler is not None and kept:
            scaler.load_state_dict(kept)


def require_clipped(expected: Tensor, parameters: list[Tensor], remedy: str) -> None:
    """Raise unless the gradients of a step have the norm that they were to be clipped to.

    Raises:
        ConfigurationError: something else changed them.
    """
    found = norm([theta.grad for theta in parameters])
    if expected.isfinite() and not torch.isclose(found, expected.to(found), 1e-4, 1e-12):
        raise ConfigurationError(
            f"gradients of norm {float(expected):.4g} had {float(found):.4g} when the optimizer "
            f"took its step: something changed them that the adaptive loss does not know; {remedy}"
        )


def norm(gradients: Gradients) -> Tensor:
    """Return the norm of all gradients together."""
    return torch.nn.utils.get_total_norm([g for g in gradients if g is not None])


@final
class EndlessIterator:
    """An iterator without an end that tells how many items a pass over its source has.

    Args:
        items: to iterate over.
        source: what they come from, again and again.
    """

    def __init__(self, items: Iterator[Any], source: Any):
        self._items, self._source = items, source

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._items)

    def __length_hint__(self) -> int:
        hint = length_hint(self._source, -1)
        return hint if hint >= 0 else NotImplemented


@final
class Batches:
    """A loader's batches again and again, without a change of the global random numbers.

    What is drawn follows from the seed and the position alone, so that a training which is resumed
    goes on with the same batches.

    Args:
        loader: any iterable that can be begun anew.
        seed: of shuffling and of augmentation in this process.
        prepare: makes of what the loader gives what is returned: moves it to the device.

    Raises:
        DataError: the loader is empty; on the first draw.
    """

    def __init__(self, loader: Any, seed: int, prepare: Callable[[Any], Any]):
        self._loader, self._seed, self._prepare = _own(loader), seed, prepare
        self._epoch, self._index = -1, 0
        self._iterator: Iterator[Any] = iter(())

    def __iter__(self) -> Iterator[Any]:
        return self

    def __length_hint__(self) -> int:
        hint = length_hint(self._loader, -1)
        return hint if hint >= 0 else NotImplemented

    def __next__(self) -> Any:
        batch, is_there = self._draw()
        if not is_there:
            self._begin(self._epoch + 1)
            batch, is_there = self._draw()
        if not is_there:
            raise DataError("there are no validation batches to learn from, or no training batches")
        return self._prepare(batch)

    def state_dict(self) -> dict[str, int]:
        """Return the position."""
        return {"epoch": self._epoch, "index": self._index}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to a position; the batches before it in its round are loaded and passed over."""
        if state["epoch"] >= 0:
            self._begin(state["epoch"])
        while self._index < state["index"]:
            self._draw()

    def _begin(self, epoch: int) -> None:
        self._epoch, self._index = epoch, 0
        with self._private():
            self._iterator = iter(self._loader)

    def _draw(self) -> tuple[Any, bool]:
        with self._private():
            for batch in self._iterator:
                self._index += 1
                return batch, True
        return None, False

    @contextmanager
    def _private(self) -> Iterator[None]:
        seed = derive_seed(self._seed, "batches", self._epoch, self._index)
        with seeded(seed), ExitStack() as stack:
            for generator in _generators(self._loader):
                stack.callback(generator.set_state, generator.get_state())
                generator.manual_seed(seed)
            yield


def _own(loader: Any) -> Any:
    """Return a loader whose persistent workers, where it has some, are its own."""
    if not isinstance(loader, DataLoader):
        return loader
    own = copy(loader)
    own._iterator = None
    return own


def _generators(loader: Any) -> list[torch.Generator]:
    """Return the generators that a loader and its samplers draw from."""
    places = [loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)]
    places.append(getattr(places[-1], "sampler", None))
    found = {id(g): g for place in places if (g := getattr(place, "generator", None)) is not None}
    return list(found.values())
