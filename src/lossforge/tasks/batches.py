"""Batches by index: no iterator is built in a training loop, and no row leaves its device."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from typing import TypeVar, final

import torch
from torch import Tensor

from lossforge.errors import DataError, FileFormatError
from lossforge.tasks.task import Augment, Split
from lossforge.validation import require_in_range

Item = TypeVar("Item")


@final
class Batches:
    """An endless stream of batches; each epoch is a fresh permutation of the rows.

    The rows that are left at an epoch's end, fewer than a batch, are dropped from that epoch.

    Args:
        split: rows to draw from, on any device.
        size: rows a batch; a split of fewer rows gives them all.
        generator: of the CPU, so that a seed draws the same batches for every device.
        augment: changes the inputs of a drawn batch by the same generator.

    Raises:
        ConfigurationError: `size` is below 1.

    Examples:
        >>> from lossforge.randomness import torch_generator
        >>> from lossforge.tasks import load
        >>> batches = Batches(load("iris").train, size=32, generator=torch_generator(0, "batches"))
        >>> inputs, targets = batches.draw()
        >>> inputs.shape, targets.shape
        (torch.Size([32, 4]), torch.Size([32]))
    """

    def __init__(
        self,
        split: Split,
        size: int,
        generator: torch.Generator,
        augment: Augment | None = None,
    ) -> None:
        require_in_range("batch_size", size, 1)
        self.size = min(size, len(split))
        self._split = split
        self._generator = generator
        self._augment = augment
        self._begin_epoch()
        self._position = 0

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return the next inputs [size, ...] and targets [size] or [size, outputs]."""
        indices = self.draw_indices()
        inputs = self._split.inputs.index_select(0, indices)
        if self._augment is not None:
            inputs = self._augment(inputs, self._generator)
        return inputs, self._split.targets.index_select(0, indices)

    def draw_indices(self) -> Tensor:
        """Return where in the split the next batch stands: int64 [size], on the split's device."""
        if self._position + self.size > len(self._split):
            self._begin_epoch()
            self._position = 0
        begin = self._position
        self._position = begin + self.size
        return self._permutation[begin : self._position]

    def state(self) -> dict[str, str | int]:
        """Return what `restore` continues from, as plain data; the generator's state included."""
        return {
            "epoch": _to_text(self._epoch),
            "generator": _to_text(self._generator.get_state()),
            "position": self._position,
        }

    def restore(self, state: Mapping[str, str | int]) -> None:
        """Continue where `state` was taken: the same batches follow.

        Raises:
            FileFormatError: it is damaged.
        """
        try:
            position = int(state["position"])
            if not 0 <= position <= len(self._split):
                raise ValueError(position)
            self._generator.set_state(_from_text(state["epoch"]))
            self._begin_epoch()
            self._generator.set_state(_from_text(state["generator"]))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FileFormatError("the saved state of batches is damaged; start anew") from error
        self._position = position

    def _begin_epoch(self) -> None:
        # The permutation follows from this state, which is smaller to save.
        self._epoch = self._generator.get_state()
        permutation = torch.randperm(len(self._split), generator=self._generator)
        self._permutation = permutation.to(self._split.inputs.device, non_blocking=True)


def endless(batches: Iterable[Item]) -> Iterator[Item]:
    """Yield the batches of a loader again and again.

    Raises:
        DataError: there are none, or an iterator that cannot be begun anew has run out.

    Examples:
        >>> from itertools import islice
        >>> list(islice(endless([1, 2]), 5))
        [1, 2, 1, 2, 1]
    """
    for again in repeat(batches):
        empty = True
        for batch in again:
            empty = False
            yield batch
        if empty:
            raise DataError(
                "there are no batches to learn from, or an iterator ran out; pass a "
                "loader or a list, which can be begun anew"
            )


def _to_text(state: Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode("ascii")


def _from_text(text: str | int) -> Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(str(text))), dtype=torch.uint8)
