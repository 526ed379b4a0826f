"""What a network learns: rows to train on, to validate on and to test on."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor

from lossforge.errors import DataError
from lossforge.tasks.row_source import RowSource, SubsetRows, is_finite

Kind = Literal["classification", "regression"]

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Maps a batch's inputs and a generator to inputs of the same shape."""


@final
@dataclass(frozen=True, eq=False)
class Split:
    """Rows of one purpose.

    Args:
        inputs: [N, ...], floating or, for tokens, integer; or a `RowSource` of such, whose rows
            are read when a batch needs them.
        targets: int64 [N] labels of classes, or float32 [N, outputs] values.
        rows: int64 [N], where each row stands in its source; proves that splits are disjoint.
    """

    inputs: Tensor | RowSource
    targets: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, numbers: Tensor) -> "Split":
        """Return some rows.

        Args:
            numbers: int64 [n], where they are in this split.
        """
        inputs = self.inputs
        taken = SubsetRows(inputs, numbers) if isinstance(inputs, RowSource) else inputs[numbers]
        return Split(taken, self.targets[numbers], self.rows[numbers])

    def to(self, device: torch.device | str) -> "Split":
        """Return the same rows on `device`."""
        return Split(self.inputs.to(device), self.targets.to(device), self.rows.to(device))


@final
@dataclass(frozen=True, eq=False)
class Task:
    """A learning problem: training, validation and test rows of one kind, checked once.

    Args:
        name: what `lossforge.tasks.load` knows it by.
        kind: "classification" or "regression".
        outputs: values that a network gives for a row: classes, or regression targets.
        train: rows that networks learn from.
        valid: rows that losses and stopping are chosen by.
        test: rows for the closing comparison alone.
        classes: names of the classes in the order of their labels; may be left out.
        augment: changes the inputs of training batches, and of no others; None for nothing.
        target_scale: of each regression target, how large a standardized 1 is in the data's own
            unit; empty where targets are not standardized.
        notes: what a person should know about how the data were read, a line each.

    Raises:
        DataError: the splits share rows, differ in shape, hold non-finite numbers or labels out
            of range, or leave nothing to learn.

    Examples:
        >>> from lossforge.tasks import load
        >>> task = load("iris")
        >>> task.kind, task.metric, task.outputs, task.input_shape
        ('classification', 'error_rate', 3, (4,))
    """

    name: str
    kind: Kind
    outputs: int
    train: Split
    valid: Split
    test: Split
    classes: tuple[str, ...] = ()
    augment: Augment | None = None
    target_scale: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part, split in self._splits():
            self._check_shapes(part, split)
            self._require_finite(part, is_finite(split.inputs))
            self._check_targets(part, split.targets)
        self._check_disjoint()
        self._check_learnable()

    @property
    def metric(self) -> str:
        """What performance is measured by: lower is better for either."""
        return "error_rate" if self.kind == "classification" else "mse"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def device(self) -> torch.device:
        """Where the rows live."""
        return self.train.inputs.device

    @staticmethod
    def from_datasets(
        train: object,
        valid: object = None,
        test: object = None,
        *,
        kind: Kind | None = None,
        name: str = "dataset",
        outputs: int | None = None,
        classes: Sequence[str] = (),
        collate: Callable[[list[Any]], Any] | None = None,
        augment: Augment | None = None,
        split_seed: int = 0,
        memory: int = 2**30,
        cache_dir: str | Path | None = None,
    ) -> "Task":
        """Make a task of PyTorch data sets; see `lossforge.tasks.from_datasets`.

        Examples:
            >>> items = [(torch.randn(3), i % 2) for i in range(60)]
            >>> Task.from_datasets(items, name="coins").outputs
            2
        """
        from lossforge.tasks.from_datasets import from_datasets

        return from_datasets(
            train,
            valid,
            test,
            kind=kind,
            name=name,
            outputs=outputs,
            classes=classes,
            collate=collate,
            augment=augment,
            split_seed=split_seed,
            memory=memory,
            cache_dir=cache_dir,
        )

    def to(self, device: torch.device | str) -> "Task":
        """Return the same task on `device`."""
        train, valid, test = (split.to(device) for _, split in self._splits())
        return replace(self, train=train, valid=valid, test=test)

    def fingerprint(self) -> str:
        """Return a SHA-256 over everything that is learned from, equal on every device.

        Two tasks with one fingerprint hold the same rows, so that a resumed run continues on the
        data that it began with.
        """
        digest = hashlib.sha256(repr((self.name, self.kind, self.outputs, self.classes)).encode())
        for _, split in self._splits():
            if isinstance(split.inputs, RowSource):
                digest.update(split.inputs.digest().encode())
            tensors = (split.inputs, split.targets, split.rows)
            for tensor in (each for each in tensors if isinstance(each, Tensor)):
                digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
                digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _splits(self) -> Iterator[tuple[str, Split]]:
        yield from (("train", self.train), ("valid", self.valid), ("test", self.test))

    def _require(self, condition: bool, complaint: str) -> None:
        if not condition:
            raise DataError(f"task {self.name!r}: {complaint}")

    def _check_shapes(self, part: str, split: Split) -> None:
        rows = len(split)
        self._require(rows > 0, f"the {part} split is empty; add rows")
        self._require(
            len(split.targets) == rows and split.rows.shape == (rows,),
            f"the {part} split has {rows} inputs, {len(split.targets)} targets and "
            f"{len(split.rows)} row numbers; give one of each to a row",
        )
        shape = tuple(split.inputs.shape[1:])
        self._require(
            shape == self.input_shape,
            f"rows of the {part} split have shape {list(shape)}, those of the train split "
            f"{list(self.input_shape)}; bring them to one shape",
        )

    def _require_finite(self, part: str, finite: bool) -> None:
        self._require(
            finite, f"the {part} split holds NaN, infinite or float32-exceeding values; mend them"
        )

    def _check_targets(self, part: str, targets: Tensor) -> None:
        if self.kind == "regression":
            well_formed = targets.shape[1:] == (self.outputs,) and targets.dtype == torch.float32
            needed = f"float32 [rows, {self.outputs}]"
        else:
            well_formed = targets.dim() == 1 and targets.dtype == torch.int64
            needed = "int64 [rows]"
        found = f"{str(targets.dtype).removeprefix('torch.')} {list(targets.shape)}"
        self._require(well_formed, f"{part} targets are {found}, but {self.kind} needs {needed}")
        if self.kind == "regression":
            self._require_finite(part, is_finite(targets))
            return
        low, high = int(targets.min()), int(targets.max())
        self._require(
            low >= 0 and high < self.outputs,
            f"{part} labels run from {low} to {high}, but {self.outputs} classes are labeled "
            f"0 to {self.outputs - 1}",
        )

    def _check_disjoint(self) -> None:
        rows = torch.cat([split.rows for _, split in self._splits()]).sort().values
        shared = int((rows[1:] == rows[:-1]).sum())
        self._require(shared == 0, f"{shared} rows stand in two splits; give each row to one")

    def _check_learnable(self) -> None:
        targets = self.train.targets
        if self.kind == "regression":
            varied = bool((targets != targets[0]).any(dim=0).all())
            self._require(varied, "the target is constant on the training rows; nothing to learn")
            return
        self._require(self.outputs >= 2, "one class only; classification needs two or more")
        named = len(self.classes) in (0, self.outputs)
        self._require(named, f"{len(self.classes)} names for {self.outputs} classes; name each")
        absent = (targets.bincount(minlength=self.outputs) == 0).nonzero().flatten().tolist()
        names = ", ".join(repr(self.classes[i]) if self.classes else str(i) for i in absent)
        self._require(not absent, f"no training row of class {names}; add rows or drop the class")
