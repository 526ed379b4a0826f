"""A task of PyTorch data sets: map-style or iterable, larger than memory or not."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from lossforge.errors import DataError, LossforgeError, one_line
from lossforge.tasks.kinds import IGNORED, Classification, Kind, Regression, as_kind
from lossforge.tasks.metrics import MetricLike
from lossforge.tasks.row_source import (
    DatasetRows,
    JointRows,
    RowSource,
    RowWriter,
    bytes_of,
)
from lossforge.tasks.splits import deal, strata_of
from lossforge.tasks.task import Augment, Split, Task

TARGET_KEYS = ("target", "targets", "label", "labels", "y")
"""names of the target in items that are mappings"""

Collate = Callable[[list[Any]], Any]


def from_datasets(
    train: object,
    valid: object = None,
    test: object = None,
    *,
    kind: Kind | str | None = None,
    name: str = "dataset",
    metric: MetricLike | None = None,
    outputs: int | None = None,
    classes: Sequence[str] = (),
    collate: Collate | None = None,
    augment: Augment | None = None,
    split_seed: int = 0,
    memory: int = 2**30,
    cache_dir: str | Path | None = None,
) -> Task:
    """Make a task of data sets whose items are (inputs, target), or mappings with a target.

    Every data set is read once, in order. Rows of one shape are then held in memory, or in a
    temporary file where they take more than `memory` bytes, so that batches are as fast as a
    tensor's; random transforms in the data set are therefore drawn once, and belong into
    `augment`. Rows that differ in shape are read from the data set again whenever a batch needs
    them, which a map-style data set must allow, and put together by `collate`.

    Args:
        train: a `torch.utils.data.Dataset`, map-style or iterable, a `DataLoader` (its data set and
            ``collate_fn`` are used, its batch size is not), or a sequence of items.
        valid: rows that losses are chosen by; by default taken from `train`.
        test: rows for the closing comparison; by default taken from `train`. With both left out
            the shares are 60, 20 and 20 percent, else 75 and 25.
        kind: of the task, one of `lossforge.tasks.kinds` or its name; by default classification
            where targets are integers.
        name: what results call the task.
        metric: what performance is measured by, as for `Task.with_metric`.
        outputs: values that a network gives for a row; by default counted in the targets.
        classes: names of the classes in the order of their labels.
        collate: puts a list of rows' inputs together; by default they are padded with zeros to the
            longest, and labels with the kind's ignored label.
        augment: changes the inputs of training batches.
        split_seed: decides which rows of `train` validate and test.
        memory: bytes that inputs of one data set may take in memory.
        cache_dir: folder for the temporary file; by default the system's.

    Raises:
        DataError: a data set is empty, its items have no target, or cannot be a task's.

    Examples:
        >>> items = [(torch.randn(3), i % 2) for i in range(60)]
        >>> task = from_datasets(items, name="coins")
        >>> len(task.train), len(task.valid), len(task.test), task.outputs, task.metric
        (36, 12, 12, 2, 'error_rate')
    """
    given = {"train": train, "valid": valid, "test": test}
    read = {
        part: _Reader(part, each, collate, memory, cache_dir).read()
        for part, each in given.items()
        if each is not None
    }
    if "train" not in read:
        raise DataError("the training data set is missing; give one with rows")
    _pad_together(list(read.values()))
    kind = _kind_of(read["train"].targets) if kind is None else as_kind(kind)
    outputs = (
        outputs or len(classes) or max(kind.count_outputs(each.targets) for each in read.values())
    )
    numbered, first = dict[str, Split](), 0
    for part, each in read.items():
        numbered[part] = each.split(kind, first)
        first += len(each.targets)
    splits = _splits(numbered, kind, split_seed)
    task = Task(name, kind, outputs, *splits, tuple(classes), augment)
    return task.with_metric(metric)


Leaves = dict[str, Tensor]
"""the tensors that the inputs of one row consist of; "" where it is one, "0", "1" in a tuple"""


class _Read:
    """The rows of one data set."""

    def __init__(self, inputs: dict[str, Any] | RowSource, targets: Any, is_tuple: bool):
        self.inputs, self.targets, self.is_tuple = inputs, targets, is_tuple

    def split(self, kind: Kind, first: int) -> Split:
        """Return the rows as a split, numbered from `first`."""
        numbers = torch.arange(first, first + len(self.targets))
        return Split(self._joined(), kind.prepare(self.targets), numbers)

    def _joined(self) -> Tensor | RowSource:
        if isinstance(self.inputs, RowSource):
            return self.inputs
        if list(self.inputs) == [""]:
            only: Tensor | RowSource = self.inputs[""]
            return only
        return JointRows(tuple(self.inputs.values()) if self.is_tuple else self.inputs)


@final
class _Reader:
    """Reads a data set once, in order."""

    def __init__(
        self,
        part: str,
        source: object,
        collate: Collate | None,
        memory: int,
        folder: str | Path | None,
    ):
        if isinstance(source, DataLoader):
            if source.collate_fn is not default_collate and collate is None:
                collate = _inputs_only(source.collate_fn)
            source = source.dataset
        self._part, self._source, self._collate = part, source, collate
        self._memory, self._folder = memory, None if folder is None else Path(folder)

    def read(self) -> _Read:
        """Return the rows.

        Raises:
            DataError: the data set is empty, or an item of it is malformed.
        """
        return self._read_lazily() if self._collate is not None else self._read_whole()

    def _read_whole(self) -> _Read:
        writers: dict[str, _LeafWriter] = {}
        targets: list[Tensor] = []
        is_tuple = False
        for inputs, target in self._items():
            leaves, is_tuple = _leaves(inputs, self._part)
            if not targets:
                writers = {name: _LeafWriter(self._memory, self._folder) for name in leaves}
            if leaves.keys() != writers.keys():
                raise DataError(f"items of the {self._part} data set differ in their parts")
            for name, leaf in leaves.items():
                writers[name].add(leaf)
            targets.append(_as_tensor(target, self._part))
        read = {name: writer.rows(self._part) for name, writer in writers.items()}
        return _Read(read, _stacked(targets), is_tuple)

    def _read_lazily(self) -> _Read:
        """Keep no inputs of a map-style data set, but what tells whether they are finite."""
        assert self._collate is not None
        digest, targets, kept = hashlib.sha256(), list[Tensor](), list[Any]()
        is_map = hasattr(self._source, "__getitem__")
        shapes, floating = set[torch.Size](), True
        for inputs, target in self._items():
            leaves, _ = _leaves(inputs, self._part)
            for name, leaf in leaves.items():
                digest.update(f"{name}{leaf.dtype}{tuple(leaf.shape)}".encode())
                digest.update(leaf.contiguous().view(-1).view(torch.uint8).numpy().data)
                if leaf.is_floating_point() and not bool(leaf.isfinite().all()):
                    raise DataError(f"the {self._part} data set holds NaN or infinite inputs")
            first = next(iter(leaves.values()))
            floating = first.is_floating_point()
            shapes.add(first.shape if len(leaves) == 1 else torch.Size([]))
            targets.append(_as_tensor(target, self._part))
            if not is_map:
                kept.append(inputs)
        source: Any = self._source

        def get(number: int) -> Any:
            inputs = _parted(source[number], self._part)[0] if is_map else kept[number]
            leaves, _ = _leaves(inputs, self._part)
            return leaves[""] if list(leaves) == [""] else inputs

        row = next(iter(shapes)) if len(shapes) == 1 else torch.Size([])
        rows = DatasetRows(
            get,
            self._collate,
            digest=digest.hexdigest(),
            floating=floating,
            shape=torch.Size([len(targets), *row]),
            cache=self._memory if is_map else 0,
        )
        return _Read(rows, _stacked(targets), is_tuple=False)

    def _items(self) -> Iterator[tuple[Any, Any]]:
        source, count = self._source, 0
        for item in _each(source, self._part):
            count += 1
            yield _parted(item, self._part)
        if not count:
            hint = "; a generator can be read once" if isinstance(source, Iterator) else ""
            raise DataError(f"the {self._part} data set is empty{hint}")


@final
class _LeafWriter:
    """Collects one tensor of every row; those that differ in length wait to be padded."""

    def __init__(self, memory: int, folder: Path | None):
        self._memory, self._writer = memory, RowWriter(memory, folder)
        self._first: Tensor | None = None
        self._ragged: list[Tensor] | None = None
        self._waiting = 0

    def add(self, leaf: Tensor) -> None:
        if self._first is None:
            self._first = leaf
        if self._ragged is None and (leaf.shape, leaf.dtype) != (
            self._first.shape,
            self._first.dtype,
        ):
            written = self._writer.rows()
            self._ragged = list(written[0 : len(written)])
        if self._ragged is None:
            self._writer.add(leaf)
            return
        self._ragged.append(leaf)
        self._waiting += bytes_of(leaf)
        if self._waiting > self._memory:
            raise DataError(
                "rows that differ in length take more memory than they may; give a collate "
                "function, so that they are read when a batch needs them, or raise memory"
            )

    def rows(self, part: str) -> Any:
        """Return a tensor or a file of rows, or a list of tensors that are to be padded."""
        if self._ragged is None:
            return self._writer.rows()
        first = self._ragged[0]
        for row in self._ragged:
            if row.dim() != first.dim() or not row.dim() or row.shape[1:] != first.shape[1:]:
                raise DataError(
                    f"rows of the {part} data set have shapes {tuple(first.shape)} and "
                    f"{tuple(row.shape)}; bring them to one shape, or give a collate function"
                )
            if row.dtype != first.dtype:
                raise DataError(
                    f"rows of the {part} data set are {first.dtype} and {row.dtype}; give one type"
                )
        return self._ragged


def _each(source: Any, part: str) -> Iterator[Any]:
    """Yield the items of a data set."""
    if isinstance(source, str | bytes | Mapping | Tensor) or source is None:
        raise DataError(
            f"the {part} data set is a {type(source).__name__}; give a Dataset, a DataLoader or a "
            "sequence of (inputs, target) pairs"
        )
    try:
        if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
            yield from (source[number] for number in range(len(source)))
        elif isinstance(source, Iterable):
            yield from source
        else:
            raise DataError(
                f"the {part} data set is a {type(source).__name__}, which cannot be iterated over; "
                "give a Dataset, a DataLoader or a sequence of (inputs, target) pairs"
            )
    except LossforgeError:
        raise
    except Exception as error:  # whatever a person's data set raises
        raise DataError(f"reading the {part} data set failed: {one_line(error)}") from error


def _parted(item: Any, part: str) -> tuple[Any, Any]:
    """Return the inputs and the target of an item."""
    if isinstance(item, Mapping):
        keys = [key for key in TARGET_KEYS if key in item]
        if len(keys) != 1 or len(item) < 2:
            raise DataError(
                f"an item of the {part} data set has the keys {', '.join(map(str, item))}; name "
                "exactly one of them target, label or labels"
            )
        inputs = {key: value for key, value in item.items() if key != keys[0]}
        only = next(iter(inputs.values()))
        return (only if len(inputs) == 1 else inputs), item[keys[0]]
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    if isinstance(item, tuple | list) and len(item) > 2:
        return tuple(item[:-1]), item[-1]
    raise DataError(
        f"an item of the {part} data set is a {type(item).__name__}; each must be a pair of "
        "inputs and target, or a mapping with a target"
    )


def _leaves(inputs: Any, part: str) -> tuple[Leaves, bool]:
    """Return the tensors of a row's inputs, and whether they came as a tuple."""
    if isinstance(inputs, Mapping):
        return {str(name): _as_tensor(each, part) for name, each in inputs.items()}, False
    if isinstance(inputs, tuple | list) and inputs and hasattr(inputs[0], "shape"):
        return {str(i): _as_tensor(each, part) for i, each in enumerate(inputs)}, True
    return {"": _as_tensor(inputs, part)}, False


def _as_tensor(value: Any, part: str) -> Tensor:
    if hasattr(value, "getbands"):  # an image of Pillow, [H, W] or [H, W, C] of bytes
        pixels = torch.from_numpy(np.array(value, dtype=np.float32)) / 255
        return pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1).contiguous()
    try:
        tensor = torch.as_tensor(value).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise DataError(
            f"the {part} data set holds a {type(value).__name__} where numbers are needed; "
            "transform it to a tensor"
        ) from None
    if tensor.is_complex():
        raise DataError(f"the {part} data set holds complex numbers; split them into two parts")
    if tensor.is_floating_point():
        return tensor.float()
    return tensor.long() if tensor.dtype != torch.uint8 or tensor.dim() == 0 else tensor


def _stacked(targets: list[Tensor]) -> Any:
    """Return targets of one shape as a tensor, others as a list that is to be padded."""
    same = len({(each.shape, each.dtype) for each in targets}) == 1
    return torch.stack(targets) if same else targets


def _pad_together(parts: Sequence[_Read]) -> None:
    """Pad what differs in length to the longest of all data sets."""
    held = [part.inputs for part in parts if isinstance(part.inputs, dict)]
    for name in held[0] if held else ():
        rows = [inputs[name] for inputs in held]
        if any(isinstance(each, list) for each in rows):
            longest = max(map(_longest, rows))
            for inputs in held:
                inputs[name] = _padded(inputs[name], longest, 0)
    if any(isinstance(part.targets, list) for part in parts):
        longest = max(_longest(part.targets) for part in parts)
        for part in parts:
            part.targets = _padded(part.targets, longest, IGNORED)


def _kind_of(targets: Tensor) -> Kind:
    return Regression() if targets.is_floating_point() else Classification()


def _splits(given: dict[str, Split], kind: Kind, seed: int) -> tuple[Split, Split, Split]:
    """Return three splits; what was not given is taken from the training rows."""
    whole, parts = given["train"], ("train", "valid", "test")
    if len(given) < len(parts):
        sizes = tuple(len(given[part]) if part in given else 0 for part in parts)
        dealt = deal(sizes, strata_of(whole.targets, kind), seed=seed)
        for part, rows in zip(parts, dealt, strict=True):
            if part == "train" or part not in given:
                given[part] = whole.take(torch.from_numpy(rows))
    return given["train"], given["valid"], given["test"]


def _longest(rows: Any) -> int:
    return max(len(row) for row in rows) if isinstance(rows, list) else int(rows.shape[1])


def _padded(rows: Any, longest: int, value: int) -> Tensor:
    """Return [N, longest, ...]; what is shorter ends with `value`."""

    def pad(row: Tensor) -> Tensor:
        return F.pad(row, [0, 0] * (row.dim() - 1) + [0, longest - len(row)], value=value)

    return torch.stack([pad(row) for row in rows[0 : len(rows)]])


def _inputs_only(collate: Callable[[list[Any]], Any]) -> Collate:
    """Return what puts inputs together as a loader's function does for inputs with targets."""

    def collate_inputs(inputs: list[Any]) -> Any:
        return _parted(collate([(each, torch.tensor(0)) for each in inputs]), "collated")[0]

    return collate_inputs
