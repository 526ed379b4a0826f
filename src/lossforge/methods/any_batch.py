"""Batches of a user's own: a pair of inputs and targets, or a mapping."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from lossforge.errors import DataError
from lossforge.training.hypergradient.state import Batch

AnyBatch = Sequence[Any] | Mapping[str, Any]
"""A pair of inputs and targets, or a mapping of named inputs with the targets among them."""

LABELS = ("labels", "label", "targets", "target", "y")
"""Names of the targets in a batch that is a mapping."""


def as_pair(batch: AnyBatch) -> Batch:
    """Return a batch as inputs and targets.

    Raises:
        DataError: it is neither a pair nor a mapping with targets.

    Examples:
        >>> import torch
        >>> as_pair({"input_ids": torch.zeros(2, 3), "labels": torch.tensor([0, 1])})
        ({'input_ids': tensor([[0., 0., 0.],
            [0., 0., 0.]])}, tensor([0, 1]))
    """
    if isinstance(batch, Mapping):
        name = next((name for name in LABELS if name in batch), None)
        if name is not None:
            return {key: value for key, value in batch.items() if key != name}, batch[name]
        raise DataError(
            f"a batch has no targets among {', '.join(map(str, batch))}; name them 'labels'"
        )
    if isinstance(batch, Sequence) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return batch[0], batch[1]
    raise DataError(
        f"a batch must be a pair of inputs and targets or a mapping, not {_shape_of(batch)}"
    )


def _shape_of(batch: object) -> str:
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return f"a {type(batch).__name__} of {', '.join(type(one).__name__ for one in batch)}"
    return f"a {type(batch).__name__}"
