"""What a network learns: rows to train on, to validate on and to test on."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor

from lossforge.errors import DataError
from lossforge.tasks.kinds import Kind, as_kind
from lossforge.tasks.metrics import Metric, MetricLike, as_metric
from lossforge.tasks.row_source import RowSource, SubsetRows, is_finite

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from lossforge.tasks.table_options import TableOptions

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Maps a batch's inputs and a generator to inputs of the same shape."""

METRIC_ROWS = 2000
"""of a split, on which a metric is tried when a task is made"""


@final
@dataclass(frozen=True, eq=False)
class Split:
    """Rows of one purpose.

    Args:
        inputs: [N, ...], floating or, for tokens, integer; or a `RowSource` of such, whose rows
            are read when a batch needs them.
        targets: int64 [N] or [N, positions...] labels of classes; or float32 [N, outputs, ...]
            values, or shares of the classes.
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
        kind: what its targets are, one of `lossforge.tasks.kinds` or its name.
        outputs: values that a network gives for a row (and position): classes, labels, or
            regression targets.
        train: rows that networks learn from.
        valid: rows that losses and stopping are chosen by.
        test: rows for the closing comparison alone.
        classes: names of the classes in the order of their labels; may be left out.
        augment: changes the inputs of training batches, and of no others; None for nothing.
        target_scale: of each regression target, how large a standardized 1 is in the data's own
            unit; empty where targets are not standardized.
        notes: what a person should know about how the data were read, a line each.
        interchangeable: training and validation rows were dealt at random from the same rows, so
            that `lossforge.tasks.folds` may deal them anew.
        measured_by: what performance is measured by, where it is not the kind's own metric: a name
            from `lossforge.tasks.metrics`, a function with its direction (`OwnMetric`), or a metric
            of ``torchmetrics``.

    Raises:
        DataError: the splits share rows, differ in shape, hold non-finite numbers or labels out
            of range, or leave nothing to learn.

    Examples:
        >>> from lossforge.tasks import load
        >>> task = load("iris")
        >>> task.kind.name, task.metric, task.outputs, task.input_shape
        ('classification', 'error_rate', 3, (4,))
        >>> task
        Task('iris': classification, inputs [4], 3 outputs, 90/30/30 rows)
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
    interchangeable: bool = False
    measured_by: Metric | None = None

    @classmethod
    def from_arrays(
        cls,
        inputs: "ArrayLike | Tensor",
        targets: "ArrayLike | Tensor",
        *,
        kind: Kind | None = None,
        valid: "tuple[ArrayLike, ArrayLike] | None" = None,
        test: "tuple[ArrayLike, ArrayLike] | None" = None,
        fractions: tuple[float, ...] = (0.6, 0.2, 0.2),
        groups: "ArrayLike | None" = None,
        times: "ArrayLike | None" = None,
        classes: tuple[str, ...] = (),
        scale_inputs: bool = True,
        tokens: bool = False,
        name: str = "arrays",
        metric: MetricLike | None = None,
        split_seed: int = 0,
    ) -> "Task":
        """Make a task of arrays or tensors; splits that are not given are dealt from these rows.

        Args:
            inputs: [N], [N, features], [N, channels, height, width] or of any other shape.
            targets: [N] labels, numbers or texts; [N, outputs] numbers, which are standardized; or,
                for kind "classification", [N, classes] shares of the classes.
            kind: "classification" or "regression"; by default regression where the targets have
                fractions, several columns or more than 20 distinct whole numbers.
            valid: inputs and targets that validate.
            test: inputs and targets that test.
            fractions: shares of training, validation and test where all are dealt, stratified.
            groups: [N] group of each row, such as a patient, which stays in one split.
            times: [N] time of each row; the earliest rows train and the latest test.
            classes: names of the labels 0, 1, ...; by default the labels themselves.
            scale_inputs: standardize columns, or channels of images, by the training rows.
            tokens: inputs are whole numbers that stand for words, and stay as they are.
            name: what results call the task.
            metric: what performance is measured by, as for `Task.with_metric`.
            split_seed: decides which rows train, validate and test.

        Raises:
            DataError: shapes or values do not fit.
            ConfigurationError: an option is out of its range.

        Examples:
            >>> import numpy as np
            >>> inputs, labels = np.random.default_rng(0).normal(size=(50, 3)), [0, 1] * 25
            >>> task = Task.from_arrays(inputs, labels)
            >>> task.kind.name, task.input_shape, len(task.train), len(task.test)
            ('classification', (3,), 30, 10)
        """
        from lossforge.tasks.from_arrays import from_arrays

        return from_arrays(
            inputs,
            targets,
            kind=kind,
            valid=valid,
            test=test,
            fractions=fractions,
            groups=groups,
            times=times,
            classes=classes,
            scale_inputs=scale_inputs,
            tokens=tokens,
            name=name,
            metric=metric,
            split_seed=split_seed,
        )

    @classmethod
    def from_dataframe(
        cls,
        table: "DataFrame",
        target: str,
        *,
        kind: Kind | None = None,
        valid: "DataFrame | None" = None,
        test: "DataFrame | None" = None,
        options: "TableOptions | None" = None,
        name: str = "dataframe",
        metric: MetricLike | None = None,
        split_seed: int = 0,
    ) -> "Task":
        """Make a task of a data frame, its columns read as those of a ``csv:`` task are.

        Args:
            table: a row a case.
            target: column that is learned; rows without it are left out.
            kind: "classification" or "regression"; by default inferred.
            valid: rows that validate; by default some of the table's.
            test: rows that test; by default some of the table's.
            options: which columns to drop, how to read them, and by which groups or times to split.
            name: what results call the task.
            metric: what performance is measured by, as for `Task.with_metric`.
            split_seed: decides which rows train, validate and test.

        Raises:
            DataError: a column is missing, unfit, or can be understood in two ways.
            MissingPackageError: pandas is not installed.

        Examples:
            >>> import pandas as pd
            >>> table = pd.DataFrame({"size": range(40), "color": ["red", "blue"] * 20})
            >>> Task.from_dataframe(table, "color").classes
            ('blue', 'red')
        """
        from lossforge.tasks.from_arrays import from_dataframe

        return from_dataframe(
            table,
            target,
            kind=kind,
            valid=valid,
            test=test,
            options=options,
            name=name,
            metric=metric,
            split_seed=split_seed,
        )

    def with_single_output(self) -> "Task":
        """Return the same task of two classes for networks with one output, the second's logit.

        A learned loss is one function of (y, p) for all outputs. With two outputs it treats both
        classes alike; with one, it can weigh one of them against the other.

        Raises:
            DataError: it has not two classes.

        Examples:
            >>> from lossforge.tasks import load
            >>> load("breast_cancer").with_single_output().outputs
            1
        """
        is_binary = self.kind.has_class_dimension and self.outputs in (1, 2)
        has_labels = not self.train.targets.is_floating_point()
        self._require(
            is_binary and has_labels,
            f"{self.kind} with {self.outputs} outputs cannot have a single one; that is for labels "
            "of two classes",
        )
        return replace(self, outputs=1)

    @classmethod
    def from_hub(
        cls,
        source: str | Path,
        *,
        column: str = "",
        label: str = "",
        target: str = "",
        kind: Kind | str | None = None,
        options: "TableOptions | None" = None,
        metric: MetricLike | None = None,
        split_seed: int = 0,
    ) -> "Task":
        """Make a task of a data set of the Hugging Face hub, or of a folder in its form.

        Args:
            source: ``OWNER/NAME``, or a folder of Parquet or CSV files.
            column: of images or texts; by default found by its type. Give `label` with it.
            label: column of the labels.
            target: column that is learned from all others, as a table; in place of the two above.
            kind: of a table: "classification" or "regression"; by default inferred.
            options: of a table: which columns to drop, how to read them.
            metric: what performance is measured by, as for `Task.with_metric`.
            split_seed: decides which rows train, validate and test.

        Raises:
            DataError: the data set cannot be had, or has no such columns.
            ConfigurationError: the arguments contradict each other.
            MissingPackageError: ``datasets`` is not installed.
        """
        from lossforge.tasks.hub import from_hub

        return from_hub(
            source,
            column=column,
            label=label,
            target=target,
            kind=kind,
            options=options,
            metric=metric,
            split_seed=split_seed,
        )

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", as_kind(self.kind))
        for part, split in self._splits():
            self._check_shapes(part, split)
            self._require_finite(part, is_finite(split.inputs))
            self.kind.check_targets(part, split.targets, self.outputs, self._require)
        self._check_disjoint()
        self.kind.check_learnable(self.train.targets, self.outputs, self.classes, self._require)
        if self.measured_by is not None:
            object.__setattr__(self, "measured_by", as_metric(self.measured_by, self.kind))
            self._check_metric()

    @property
    def measure(self) -> Metric:
        """What performance is measured by."""
        return as_metric(self.measured_by, self.kind)

    @property
    def metric(self) -> str:
        """Name of what performance is measured by."""
        return self.measure.name

    def with_metric(self, metric: MetricLike | None) -> "Task":
        """Return the same task with performance measured otherwise.

        Args:
            metric: a name, such as "f1" or "auroc"; a function of outputs and targets with its
                direction (`lossforge.tasks.metrics.OwnMetric`); or a metric of ``torchmetrics``.
                None for the kind's own.

        Raises:
            UnknownNameError: no metric has that name.
            ConfigurationError: it is no metric for the task's kind, or its direction is not known.
            DataError: it is not defined for the validation or the test rows.

        Examples:
            >>> from lossforge.tasks import load
            >>> task = load("breast_cancer").with_metric("auroc")
            >>> task.metric, task.measure.direction
            ('auroc', 'higher is better')
        """
        chosen = None if metric is None else as_metric(metric, self.kind)
        return replace(self, measured_by=chosen)

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
        kind: Kind | str | None = None,
        name: str = "dataset",
        metric: MetricLike | None = None,
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
            metric=metric,
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

    def __repr__(self) -> str:
        rows = "/".join(str(len(split)) for _, split in self._splits())
        outputs = f"{self.outputs} output{'' if self.outputs == 1 else 's'}"
        return (
            f"Task({self.name!r}: {self.kind}, inputs {list(self.input_shape)}, {outputs}, "
            f"{rows} rows)"
        )

    def _repr_html_(self) -> str:
        from html import escape

        names = ", ".join(self.classes[:20]) + (", ..." if len(self.classes) > 20 else "")
        rows = {
            "kind": str(self.kind),
            "metric": self.metric,
            "inputs": " by ".join(map(str, self.input_shape)),
            "outputs": f"{self.outputs} ({names})" if names else str(self.outputs),
            **{f"{part} rows": f"{len(split):,}" for part, split in self._splits()},
            **({"notes": " ".join(self.notes)} if self.notes else {}),
        }
        body = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(told)}</td></tr>"
            for name, told in rows.items()
        )
        return f"<table><caption>{escape(self.name)}</caption>{body}</table>"

    def fingerprint(self) -> str:
        """Return a SHA-256 over everything that is learned from, equal on every device.

        Two tasks with one fingerprint hold the same rows, so that a resumed run continues on the
        data that it began with.
        """
        digest = hashlib.sha256(
            repr((self.name, self.kind.tag, self.outputs, self.classes)).encode()
        )
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

    def _check_metric(self) -> None:
        """Try the metric on what an untrained network could say."""
        draw = torch.Generator().manual_seed(0)
        for part, split in (("validation", self.valid), ("test", self.test)):
            targets = split.targets[:METRIC_ROWS]
            shape = self.kind.output_shape(self.outputs, targets)
            outputs = torch.randn(1, *shape, generator=draw).to(targets.device)
            (cost,) = self.measure.costs([(outputs, targets)]).tolist()
            self._require(
                math.isfinite(cost) or len(split) > METRIC_ROWS,
                f"{self.metric} is not defined for the {part} rows, whose targets may be all "
                "alike; give other rows or another metric",
            )

    def _check_disjoint(self) -> None:
        rows = torch.cat([split.rows for _, split in self._splits()]).sort().values
        shared = int((rows[1:] == rows[:-1]).sum())
        self._require(shared == 0, f"{shared} rows stand in two splits; give each row to one")
