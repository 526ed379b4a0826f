"""Kinds of tasks: what the outputs of a network mean, and what they are compared with.

A loss compares rows: a target y and a prediction p of K numbers each. A kind turns a network's
outputs [B, C, ...] and targets, shaped as in PyTorch, into rows; everything else (losses,
populations, hypergradients, filters, metrics) works on those. Class or output dimension is always
1; further dimensions are positions (pixels, tokens).

- `Classification`: the outputs at a position are one row. Labels [B, ...], or probabilities.
- `MultiLabel`: each output is a row of its own, the logit of "yes". Targets [B, C, ...].
- `Regression`: each output is a row of its own. Targets [B, C, ...].
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, Self, final

import torch
import torch.nn.functional as F
from torch import Tensor

from lossforge.errors import ConfigurationError, DataError
from lossforge.tasks.rows import Rows, full_precision, is_recorded
from lossforge.validation import require

Require = Callable[[bool, str], None]
"""Raises a `DataError` with the message unless the condition holds."""

MARGIN_SLOPE = 4.0
"""of the sigmoid of a margin, in units of the outputs' root mean square"""

IGNORED = -100
"""PyTorch's default label of positions that do not count"""


@dataclass(frozen=True)
class Kind(ABC):
    """What the outputs of a network mean. A new kind is one final class and its line in `KINDS`.

    Attributes:
        name: as users write it and files hold it.
        family: kinds of one family share their losses.
        metric: what performance is measured by; lower is better.
        metric_is_rate: whether the metric is a share of the rows, with the standard error of one.
        default_loss: name of the loss that people use by default.
        rivals: handcrafted losses that a learned loss is held against, the default first.
        has_class_dimension: whether the outputs at a position are one row together.
        predicts_probabilities: whether p is a probability and y a share of a class; else p and y
            are values.
        words: for messages and plots.
        target_source: PyTorch statements of an exported loss that set ``y`` [B, K, ...] from
            ``targets`` and shape ``outputs`` alike.
        prediction_source: likewise, that set ``p`` from ``outputs``.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    metric: ClassVar[str]
    metric_is_rate: ClassVar[bool]
    default_loss: ClassVar[str]
    rivals: ClassVar[tuple[str, ...]]
    has_class_dimension: ClassVar[bool] = False
    predicts_probabilities: ClassVar[bool]
    words: ClassVar["Words"]
    target_source: ClassVar[str]
    prediction_source: ClassVar[str]

    def __str__(self) -> str:
        """Return the name."""
        return self.name

    @property
    def tag(self) -> str:
        """What tells this kind from others in a digest: the name, with what is not as usual."""
        return self.name if self == type(self)() else repr(self)

    def shares_losses_with(self, other: "Kind") -> bool:
        """Tell whether a loss for the other kind serves this one."""
        return self.family == other.family

    @property
    def ignored_label(self) -> int | None:
        """The label of what does not count; None where there are no labels."""
        return None

    @abstractmethod
    def with_ignore_index(self, index: int) -> Self:
        """Return the same kind with another label for what does not count.

        Raises:
            ConfigurationError: it has no labels.
        """

    # Rows

    @abstractmethod
    def rows(self, outputs: Tensor, targets: Tensor) -> Rows:
        """Return outputs and targets as rows.

        Args:
            outputs: what a network gives, [B, C, ...], or [P, B, C, ...] of P networks. Half
                precision is computed in float32.
            targets: of the batch.

        Raises:
            DataError: shapes or types do not fit each other, or a label is out of range.
        """

    def is_common(self, outputs: Tensor, targets: Tensor) -> bool:
        """Tell whether outputs are [B, C, ...], seen by all losses, and not [P, B, C, ...]."""
        if outputs.dim() <= 2:
            return True
        apart = outputs.dim() - targets.dim()
        if targets.is_floating_point() and apart == 1:
            return targets.shape != outputs.shape[1:]
        return apart < 2

    @abstractmethod
    def to_rows(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """Return [..., N, K] for outputs, or a direction in them, [..., *shape]; it is linear."""

    @abstractmethod
    def from_rows(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """Return a derivative by the rows, [..., N, K], as one by the outputs, [..., *shape].

        It is the adjoint of `to_rows`.
        """

    @abstractmethod
    def row_shape(self, shape: torch.Size) -> torch.Size:
        """Return the shape of one number for each row, for outputs of `shape` [B, C, ...]."""

    @abstractmethod
    def row_size(self, outputs: int) -> int:
        """Return K, the numbers of a row, for a network of so many outputs."""

    @property
    def row_kind(self) -> "Kind":
        """The kind that a row by itself is of: that of which a loss is looked at."""
        return self

    # The pair (y, p)

    @abstractmethod
    def predictions(self, outputs: Tensor) -> Tensor:
        """Return p for the outputs of rows, [N, K, ...]."""

    def read(self, outputs: Tensor) -> Tensor:
        """Return what a network's outputs [B, C, ...] say: probabilities, or values."""
        return self.predictions(full_precision(outputs))

    @abstractmethod
    def encode(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Return y, shaped and typed like p, for targets and outputs [N, K] of rows."""

    @abstractmethod
    def pull_back(self, cotangent: Tensor, p: Tensor) -> Tensor:
        """Map a derivative by p, [..., N, K], to the derivative by the outputs of rows."""

    def push_forward(self, tangent: Tensor, p: Tensor) -> Tensor:
        """Map a direction in the outputs of rows, [..., N, K], to the direction in which p moves.

        By default the same map as `pull_back`: the Jacobians of softmax, sigmoid and every function
        of each output alone are symmetric.
        """
        return self.pull_back(tangent, p)

    @abstractmethod
    def default_values(self, y: Tensor, p: Tensor) -> Tensor:
        """Return the default loss of each output as a function of y and p."""

    # Weights

    @abstractmethod
    def term_weights(self, weight: Tensor, rows: Rows) -> Tensor:
        """Return factors on the terms of the rows' losses, [N, K] or broadcast to it.

        Args:
            weight: what a user gave.
            rows: of a batch.

        Raises:
            DataError: there are not as many weights as needed.
        """

    @abstractmethod
    def row_weights(self, term_weights: Tensor, rows: Rows) -> Tensor:
        """Return factors on the losses of rows that are no sum of terms, [N]: the target's."""

    @abstractmethod
    def masses(self, term_weights: Tensor, rows: Rows) -> Tensor | None:
        """Return how much each row counts in a mean, [N]; None where each counts one."""

    # Metrics

    @abstractmethod
    def row_scores(self, rows: Rows) -> Tensor:
        """Return each row's part in the metric, which is their mean: [..., N]."""

    @final
    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the part of each row that counts in the metric, which is their mean: [..., N].

        Args:
            outputs: [B, C, ...], or [P, B, C, ...].
            targets: of the batch.

        Examples:
            >>> outputs, labels = torch.tensor([[2.0, 1.0], [2.0, 1.0]]), torch.tensor([0, 1])
            >>> Classification().scores(outputs, labels)
            tensor([0., 1.])
        """
        rows = self.rows(outputs, targets)
        return rows.counted(self.row_scores(rows))

    def smooth_scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return a smooth metric of each of P networks, [P]: the metric itself where it is smooth.

        It tells networks apart that make the same mistakes, and like the metric it does not depend
        on how large outputs are where only their order counts.

        Args:
            outputs: of all rows of a split, [P, N, C, ...].
            targets: likewise.
        """
        return self.scores(outputs, targets).double().mean(-1)

    def measures(self, outputs: Tensor, targets: Tensor) -> dict[str, float | list[float]]:
        """Return the metric by name, and what else tells how good predictions are.

        Args:
            outputs: of all rows of a split, [N, C, ...].
            targets: likewise.
        """
        return {self.metric: float(self.scores(outputs, targets).double().mean())}

    # Tasks

    @abstractmethod
    def prepare(self, targets: Tensor) -> Tensor:
        """Return a person's targets in the type and shape that a task of the kind has."""

    @abstractmethod
    def count_outputs(self, targets: Tensor) -> int:
        """Return how many outputs targets need."""

    @abstractmethod
    def output_shape(self, outputs: int, targets: Tensor) -> tuple[int, ...]:
        """Return the shape [B, C, ...] of what a network must give for a batch's targets."""

    @abstractmethod
    def check_targets(self, part: str, targets: Tensor, outputs: int, need: Require) -> None:
        """Check the targets of a split named `part` of a task with so many outputs."""

    @abstractmethod
    def check_learnable(
        self, targets: Tensor, outputs: int, names: tuple[str, ...], need: Require
    ) -> None:
        """Check that there is something to learn from training targets, and the classes' names."""


@final
@dataclass(frozen=True)
class Words:
    """What messages and plots call things.

    Attributes:
        default_loss: the default loss.
        prediction: p on an axis.
        position: how right a prediction is, on an axis.
        pull: how strongly a loss pulls, on an axis.
        row: what of one row is moved where its loss is shown.
        targets: in a description of an exported loss.
        prepared: how y and p are made, likewise.
    """

    default_loss: str
    prediction: str
    position: str
    pull: str
    row: str
    targets: str
    prepared: str


@dataclass(frozen=True)
class Labels(Kind, ABC):
    """A kind whose rows are classified: p is the softmax of a row, or the sigmoid of a single one.

    Attributes:
        ignore_index: label of what does not count, such as padding or void pixels.
    """

    ignore_index: int = IGNORED

    family: ClassVar[str] = "classification"
    metric: ClassVar[str] = "error_rate"
    metric_is_rate: ClassVar[bool] = True
    default_loss: ClassVar[str] = "cross_entropy"
    rivals: ClassVar[tuple[str, ...]] = (
        "cross_entropy",
        "label_smoothing:smoothing=0.05",
        "label_smoothing:smoothing=0.1",
        "label_smoothing:smoothing=0.2",
        "label_smoothing:smoothing=0.3",
        "sparse_lsr",
        "focal",
        "generalized_cross_entropy",
        "poly1",
        "squared_probability",
        "squared_outputs",
    )
    predicts_probabilities: ClassVar[bool] = True
    prediction_source: ClassVar[str] = """\
    p = outputs.sigmoid() if outputs.shape[1] == 1 else outputs.softmax(1)
"""

    def __post_init__(self) -> None:
        require(
            isinstance(self.ignore_index, int) and not isinstance(self.ignore_index, bool),
            f"ignore_index must be an integer, not {self.ignore_index!r}",
        )

    @property
    def ignored_label(self) -> int | None:
        """The label of what does not count."""
        return self.ignore_index

    def with_ignore_index(self, index: int) -> Self:
        """Return the same kind with another label for what does not count."""
        return replace(self, ignore_index=index)

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of the classes; that of the second of two for K = 1."""
        return outputs.sigmoid() if outputs.shape[1] == 1 else outputs.softmax(1)

    def encode(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Return the shares of the classes in the target."""
        if targets.dim() == outputs.dim():
            return targets.to(outputs.dtype)
        if outputs.shape[1] == 1:
            return targets.to(outputs.dtype).unsqueeze(1)
        return F.one_hot(targets, outputs.shape[1]).to(outputs.dtype)

    def pull_back(self, cotangent: Tensor, p: Tensor) -> Tensor:
        """Return the product with the softmax's or the sigmoid's Jacobian."""
        if p.shape[-1] == 1:
            return cotangent * p * (1 - p)
        weighted = cotangent * p
        return weighted - p * weighted.sum(-1, keepdim=True)

    def default_values(self, y: Tensor, p: Tensor) -> Tensor:
        """Return -y log p."""
        return -torch.xlogy(y, p)

    def row_scores(self, rows: Rows) -> Tensor:
        """Return 1 for a wrong class and 0 for the right one."""
        outputs, targets = rows.outputs, rows.targets
        if outputs.shape[-1] == 1:
            found = outputs.squeeze(-1) > 0
            return (found != (targets.reshape(-1) > 0.5)).to(outputs.dtype)
        labels = targets.argmax(1) if targets.dim() == 2 else targets
        return (outputs.argmax(-1) != labels).to(outputs.dtype)

    def smooth_scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the smooth error rate of margins of each of P networks, [P].

        A row's margin is by how much its target's output exceeds the greatest other one, relative
        to the root mean square of all centered outputs. A row counts as sigmoid(-4 margin). Not in
        the papers.

        Examples:
            >>> outputs = torch.tensor([[[2.0, 0.0], [0.0, 2.0]], [[2.0, 0.0], [2.0, 0.0]]])
            >>> Classification().smooth_scores(outputs, torch.tensor([0, 1])).tolist()
            [0.0003..., 0.5]
        """
        rows = self.rows(outputs, targets)
        found, wanted = rows.outputs, rows.targets
        if found.shape[-1] == 1:
            margins = found.squeeze(-1) * (2 * (wanted.reshape(-1) > 0.5).to(found.dtype) - 1)
            size = found.square().mean((-2, -1)).sqrt()
        else:
            labels = wanted.argmax(1) if wanted.dim() == 2 else wanted
            labels = labels.reshape(1, -1, 1).expand(len(found), -1, 1)
            theirs = found.gather(-1, labels).squeeze(-1)
            margins = theirs - found.scatter(-1, labels, -torch.inf).amax(-1)
            size = (found - found.mean(-1, keepdim=True)).square().mean((-2, -1)).sqrt()
        relative = margins / size.clamp_min(torch.finfo(found.dtype).tiny).unsqueeze(-1)
        return rows.counted(torch.sigmoid(-MARGIN_SLOPE * relative)).mean(-1)

    def _labels(
        self, targets: Tensor, classes: int, shape: torch.Size
    ) -> tuple[Tensor, Tensor | None]:
        """Return labels in range, [N], and which of them are ignored; None for none."""
        labels = targets.reshape(-1).long()
        if is_recorded():
            # What is recorded must hold for other labels, too: it may not depend on those at hand.
            ignored = labels == self.ignore_index
            return labels.masked_fill(ignored, 0), ignored
        if not labels.numel() or (int(labels.min()) >= 0 and int(labels.max()) < classes):
            if 0 <= self.ignore_index < classes:
                ignored = labels == self.ignore_index
                return (labels, ignored) if bool(ignored.any()) else (labels, None)
            return labels, None
        ignored = labels == self.ignore_index
        wrong = labels[~ignored & ((labels < 0) | (labels >= classes))]
        if len(wrong):
            raise DataError(
                f"label {int(wrong[0])} is outside 0 to {classes - 1}; the outputs are of shape "
                f"{tuple(shape)} (what does not count has the label {self.ignore_index})"
            )
        return labels.masked_fill(ignored, 0), ignored


@final
@dataclass(frozen=True)
class Classification(Labels):
    """One of several classes for each example, or for each of its positions.

    Outputs [B, C, ...] are logits of C classes, or, with C = 1, of the second of two. Targets are
    labels [B, ...], or probabilities shaped like the outputs, to which `ignore_index` does not
    apply. Segmentation has labels [B, H, W], tokens [B, T].

    Examples:
        >>> kind = Classification(ignore_index=255)
        >>> kind.rows(torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4).long()).outputs.shape
        torch.Size([32, 3])
    """

    name: ClassVar[str] = "classification"
    has_class_dimension: ClassVar[bool] = True
    words: ClassVar[Words] = Words(
        default_loss="cross-entropy",
        prediction="probability p",
        position="probability of the target",
        pull="pull on the target's logit",
        row="logit of the row's class",
        targets="labels [B, ...]",
        prepared="p is the softmax of the outputs (the sigmoid of a single one), "
        "y the one-hot label",
    )
    target_source: ClassVar[str] = """\
    counted = None
    if targets.shape == outputs.shape:
        y = targets.to(outputs.dtype)
    else:
        counted = targets != ignore_index
        labels = targets.where(counted, torch.zeros_like(targets))
        if outputs.shape[1] == 1:
            y = labels.to(outputs.dtype).unsqueeze(1)
        else:
            y = torch.nn.functional.one_hot(labels.long(), outputs.shape[1])
            y = y.movedim(-1, 1).to(outputs.dtype)
"""

    def rows(self, outputs: Tensor, targets: Tensor) -> Rows:
        """Return a row of C logits for each position."""
        outputs = full_precision(outputs)
        shape = outputs.shape if self.is_common(outputs, targets) else outputs.shape[1:]
        self._check(targets, shape)
        flat = self.to_rows(outputs, shape)
        is_shaped = targets.shape == shape
        if is_shaped and (targets.is_floating_point() or shape[1] > 1):
            values = self.to_rows(targets.to(outputs.dtype), shape)
            return Rows(self, flat, values, None, shape)
        if targets.is_floating_point():
            return Rows(self, flat, targets.to(outputs.dtype).reshape(-1, 1), None, shape)
        labels, ignored = self._labels(targets, max(2, shape[1]), shape)
        return Rows(self, flat, labels, ignored, shape)

    def to_rows(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """Return [..., N, C] for a tensor [..., B, C, ...]."""
        if len(shape) == 2:
            return tensor
        classes = tensor.dim() - len(shape) + 1
        return tensor.movedim(classes, -1).flatten(classes - 1, -2)

    def from_rows(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """Return [..., B, C, ...] for a tensor [..., N, C]."""
        if len(shape) == 2:
            return tensor
        apart: Tensor = tensor.unflatten(-2, (shape[0], *shape[2:]))
        return apart.movedim(-1, 1 - len(shape))

    def row_shape(self, shape: torch.Size) -> torch.Size:
        """Return [B, ...]."""
        return shape[:1] + shape[2:]

    def row_size(self, outputs: int) -> int:
        """Return the number of classes."""
        return outputs

    def term_weights(self, weight: Tensor, rows: Rows) -> Tensor:
        """Return the weights of the classes, [C]."""
        classes = max(2, rows.shape[1])
        if weight.shape != (classes,):
            raise DataError(
                f"weight of shape {tuple(weight.shape)} must hold {classes} numbers, one a class"
            )
        return weight.to(rows.outputs.dtype)

    def row_weights(self, term_weights: Tensor, rows: Rows) -> Tensor:
        """Return the weights of the labels; their mean where targets are probabilities."""
        if rows.targets.dim() == 1:
            return term_weights[rows.targets]
        y = rows.targets
        return (y if y.shape[1] > 1 else torch.cat([1 - y, y], 1)) @ term_weights

    def masses(self, term_weights: Tensor, rows: Rows) -> Tensor | None:
        """Return the weights of the labels; probabilities count one each, as in PyTorch."""
        return term_weights[rows.targets] if rows.targets.dim() == 1 else None

    def prepare(self, targets: Tensor) -> Tensor:
        """Return integers as int64; others are refused by the task."""
        return targets if targets.is_floating_point() else targets.long()

    def count_outputs(self, targets: Tensor) -> int:
        """Return one more than the greatest label that counts."""
        labels = targets[targets != self.ignore_index]
        return int(labels.max()) + 1 if labels.numel() else 0

    def output_shape(self, outputs: int, targets: Tensor) -> tuple[int, ...]:
        """Return [B, classes, ...] for labels [B, ...]."""
        return (len(targets), outputs, *targets.shape[1:])

    def check_targets(self, part: str, targets: Tensor, outputs: int, need: Require) -> None:
        """Check that labels are in range, and that some count."""
        _check_type(self, part, targets, targets.dtype == torch.int64, "int64 [rows]", need)
        need(
            targets.dim() == 1 or targets.shape[-1] > 1,
            f"{part} targets are int64 {list(targets.shape)}, but classification needs int64 "
            "[rows], or [rows, positions...] with more than one position",
        )
        labels = targets[targets != self.ignore_index]
        need(labels.numel() > 0, f"no label of the {part} split counts; give some")
        low, high = int(labels.min()), int(labels.max())
        need(
            low >= 0 and high < outputs,
            f"{part} labels run from {low} to {high}, but {outputs} classes are labeled "
            f"0 to {outputs - 1}",
        )

    def check_learnable(
        self, targets: Tensor, outputs: int, names: tuple[str, ...], need: Require
    ) -> None:
        """Check that there are two classes or more, each with training rows."""
        need(outputs >= 2, "one class only; classification needs two or more")
        _check_names(names, outputs, need)
        labels = targets[targets != self.ignore_index]
        absent = (labels.bincount(minlength=outputs) == 0).nonzero().flatten().tolist()
        listed = ", ".join(repr(names[i]) if names else str(i) for i in absent)
        need(not absent, f"no training row of class {listed}; add rows or drop the class")

    def _check(self, targets: Tensor, shape: torch.Size) -> None:
        """Raise `DataError` unless shape and type of targets fit outputs of `shape`."""
        if len(shape) < 2:
            raise DataError(
                f"outputs of shape {tuple(shape)} have no dimension of classes; give [B, C] "
                "(unsqueeze(1) makes [B, 1] of [B])"
            )
        if targets.shape == shape:
            return
        labels = shape[:1] + shape[2:]
        if targets.shape != labels:
            raise DataError(
                f"targets of shape {tuple(targets.shape)} do not fit outputs of shape "
                f"{tuple(shape)}; give integer labels of shape {tuple(labels)} or probabilities "
                "of the outputs' shape"
            )
        if shape[1] > 1 and targets.is_floating_point():
            raise DataError("class labels must be integers; convert the targets with .long()")


@final
@dataclass(frozen=True)
class MultiLabel(Labels):
    """Any number of labels for each example: each output is the logit of "yes" against "no".

    Outputs and targets are [B, L, ...]; targets are 0, 1, a probability between them, or
    `ignore_index` where a label is unknown. A row is one label of one example, of two classes with
    the logits (-z/2, z/2): so every loss for classification serves, and cross-entropy is
    `torch.nn.BCEWithLogitsLoss`.

    Examples:
        >>> rows = MultiLabel().rows(torch.zeros(5, 3), torch.ones(5, 3))
        >>> rows.outputs.shape, rows.targets[0]
        (torch.Size([15, 2]), tensor([0., 1.]))
    """

    name: ClassVar[str] = "multilabel"
    words: ClassVar[Words] = replace(
        Classification.words,
        default_loss="binary cross-entropy",
        targets="targets [B, L, ...] from 0 to 1",
        prepared="each output is a row of its own with p = (1 - sigmoid, sigmoid) and "
        "y = (1 - target, target)",
    )
    target_source: ClassVar[str] = """\
    counted = targets != ignore_index
    y = targets.where(counted, torch.zeros_like(targets)).to(outputs.dtype)
    y = torch.stack([1 - y, y], 1)
    outputs = torch.stack([-outputs / 2, outputs / 2], 1)
"""

    def rows(self, outputs: Tensor, targets: Tensor) -> Rows:
        """Return a row of two logits for each output."""
        outputs = full_precision(outputs)
        shape = outputs.shape if self.is_common(outputs, targets) else outputs.shape[1:]
        if targets.shape != shape:
            raise DataError(
                f"targets of shape {tuple(targets.shape)} do not fit outputs of shape "
                f"{tuple(shape)}; give 0 or 1 for each output"
            )
        flat = self.to_rows(outputs, shape)
        if not targets.is_floating_point():
            labels, ignored = self._labels(targets, 2, shape)
            return Rows(self, flat, labels, ignored, shape)
        y, ignored = self._shares(targets.to(outputs.dtype).reshape(-1))
        return Rows(self, flat, torch.stack([1 - y, y], 1), ignored, shape)

    def read(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label."""
        return full_precision(outputs).sigmoid()

    def is_common(self, outputs: Tensor, targets: Tensor) -> bool:
        """Tell whether outputs are [B, L, ...], seen by all losses, and not [P, B, L, ...]."""
        return outputs.dim() <= targets.dim()

    def to_rows(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """Return rows (-z/2, z/2) [..., N, 2] for a tensor z [..., B, L, ...]."""
        half = tensor.reshape(*tensor.shape[: tensor.dim() - len(shape)], -1) / 2
        return torch.stack([-half, half], -1)

    def from_rows(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """Return half the differences of the derivatives by both logits, [..., B, L, ...]."""
        apart = (tensor[..., 1] - tensor[..., 0]) / 2
        return apart.reshape(*tensor.shape[:-2], *shape)

    def row_shape(self, shape: torch.Size) -> torch.Size:
        """Return [B, L, ...]."""
        return shape

    def row_size(self, outputs: int) -> int:
        """Return 2."""
        del outputs
        return 2

    @property
    def row_kind(self) -> Kind:
        """One of two classes."""
        return Classification(self.ignore_index)

    def term_weights(self, weight: Tensor, rows: Rows) -> Tensor:
        """Return the weights [L] of the labels, one for each row, [N, 1]."""
        return _by_output(weight, rows, "label")

    def row_weights(self, term_weights: Tensor, rows: Rows) -> Tensor:
        """Return the weights of the rows' labels."""
        del rows
        return term_weights[:, 0]

    def masses(self, term_weights: Tensor, rows: Rows) -> Tensor | None:
        """Return None: weights do not change what a mean divides by, as in `BCEWithLogitsLoss`."""

    def measures(self, outputs: Tensor, targets: Tensor) -> dict[str, float | list[float]]:
        """Return the error rate and F1, both over all labels (F1: their mean) and for each.

        F1 of a label is 2·hits / (2·hits + misses + false alarms), 0 where there are none of those.

        Examples:
            >>> outputs = torch.tensor([[2.0, -1.0], [1.0, 1.0]])
            >>> MultiLabel().measures(outputs, torch.tensor([[1, 0], [1, 0]]))["f1_by_label"]
            [1.0, 0.0]
        """
        rows = self.rows(outputs, targets)
        says, counts = outputs > 0, torch.ones_like(outputs, dtype=torch.bool)
        if rows.ignored is not None:
            counts = ~rows.by_position(rows.ignored)
        true = (targets > 0.5) & counts
        over = [dim for dim in range(outputs.dim()) if dim != 1]
        hits = (says & true).sum(over).double()
        wrong = ((says != true) & counts).sum(over).double()
        f1 = 2 * hits / (2 * hits + wrong).clamp_min(1)
        errors = wrong / counts.sum(over).clamp_min(1)
        return {
            **super().measures(outputs, targets),
            "f1": float(f1.mean()),
            "error_rate_by_label": errors.tolist(),
            "f1_by_label": f1.tolist(),
        }

    def prepare(self, targets: Tensor) -> Tensor:
        """Return integers as int64, others as float32."""
        return targets.float() if targets.is_floating_point() else targets.long()

    def count_outputs(self, targets: Tensor) -> int:
        """Return the number of labels."""
        return int(targets.shape[1]) if targets.dim() > 1 else 1

    def output_shape(self, outputs: int, targets: Tensor) -> tuple[int, ...]:
        """Return the targets' shape."""
        del outputs
        return tuple(targets.shape)

    def check_targets(self, part: str, targets: Tensor, outputs: int, need: Require) -> None:
        """Check that targets are 0, 1, between them or ignored, and that some count."""
        well_typed = targets.dtype in (torch.float32, torch.int64)
        fits = well_typed and targets.dim() >= 2 and targets.shape[1] == outputs
        needed = f"float32 or int64 [rows, {outputs}]"
        _check_type(self, part, targets, fits, needed, need)
        counted = targets[targets != self.ignore_index]
        need(counted.numel() > 0, f"no target of the {part} split counts; give some")
        need(
            bool(((counted >= 0) & (counted <= 1)).all()),
            f"{part} targets run from {counted.min():g} to {counted.max():g}; give 0 or 1 for "
            f"each label, or {self.ignore_index} where it is unknown",
        )

    def check_learnable(
        self, targets: Tensor, outputs: int, names: tuple[str, ...], need: Require
    ) -> None:
        """Check that each label is on some training rows and not on others."""
        _check_names(names, outputs, need)
        by_label = targets.movedim(1, 0).flatten(1)
        counts = by_label != self.ignore_index
        least = by_label.where(counts, 2).amin(1)
        most = by_label.where(counts, -1).amax(1)
        constant = (least >= most).nonzero().flatten().tolist()
        listed = ", ".join(repr(names[i]) if names else str(i) for i in constant)
        need(not constant, f"label {listed} is the same on all training rows; drop it or add rows")

    def _shares(self, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return targets from 0 to 1, [N], and which of them are ignored; None for none."""
        outside = (targets < 0) | (targets > 1)
        ignored = targets == self.ignore_index
        wrong = targets[outside & ~ignored]
        if len(wrong):
            raise DataError(
                f"target {float(wrong[0]):g} is outside 0 to 1 (what does not count has the "
                f"target {self.ignore_index})"
            )
        return (
            (targets.masked_fill(ignored, 0), ignored) if bool(ignored.any()) else (targets, None)
        )


@dataclass(frozen=True)
class Values(Kind, ABC):
    """A kind whose outputs are rows of their own, each compared with a value.

    Outputs and targets are [B, C, ...]; the dimension of a single output may be left out of the
    targets.
    """

    predicts_probabilities: ClassVar[bool] = False
    metric_is_rate: ClassVar[bool] = False
    target_source: ClassVar[str] = """\
    y = (targets if targets.shape == outputs.shape else targets.unsqueeze(1)).to(outputs.dtype)
    outputs, y = outputs.unsqueeze(1), y.unsqueeze(1)
"""

    def with_ignore_index(self, index: int) -> Self:
        """Raise a `ConfigurationError`: there are no labels."""
        raise ConfigurationError(
            f"{self} has no labels, so ignore_index={index} means nothing; leave it out, or "
            "give sample weights of 0"
        )

    def rows(self, outputs: Tensor, targets: Tensor) -> Rows:
        """Return a row of one number for each output."""
        outputs = full_precision(outputs)
        shape = outputs.shape if self.is_common(outputs, targets) else outputs.shape[1:]
        without = shape[:1] + shape[2:]
        is_single = len(shape) > 1 and shape[1] == 1 and targets.shape == without
        if targets.shape != shape and not is_single:
            raise DataError(
                f"targets of shape {tuple(targets.shape)} do not fit outputs of shape "
                f"{tuple(shape)}; give values of the outputs' shape"
            )
        values = targets.to(outputs.dtype).reshape(-1, 1)
        return Rows(self, self.to_rows(outputs, shape), values, None, shape)

    def to_rows(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """Return [..., N, 1] for a tensor [..., B, C, ...]."""
        return tensor.reshape(*tensor.shape[: tensor.dim() - len(shape)], -1, 1)

    def from_rows(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """Return [..., B, C, ...] for a tensor [..., N, 1]."""
        return tensor.reshape(*tensor.shape[:-2], *shape)

    def row_shape(self, shape: torch.Size) -> torch.Size:
        """Return [B, C, ...]."""
        return shape

    def row_size(self, outputs: int) -> int:
        """Return 1."""
        del outputs
        return 1

    def encode(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Return the targets, typed like the outputs."""
        return targets.to(outputs.dtype)

    def term_weights(self, weight: Tensor, rows: Rows) -> Tensor:
        """Return the weights [C] of the outputs, one for each row, [N, 1]."""
        return _by_output(weight, rows, "output")

    def row_weights(self, term_weights: Tensor, rows: Rows) -> Tensor:
        """Return the outputs' weights."""
        del rows
        return term_weights[:, 0]

    def masses(self, term_weights: Tensor, rows: Rows) -> Tensor | None:
        """Return the outputs' weights."""
        del rows
        return term_weights[:, 0]

    def prepare(self, targets: Tensor) -> Tensor:
        """Return float32 with a dimension of outputs."""
        return (targets[:, None] if targets.dim() == 1 else targets).float()

    def count_outputs(self, targets: Tensor) -> int:
        """Return the number of values of a row."""
        return int(targets.shape[1]) if targets.dim() > 1 else 1

    def output_shape(self, outputs: int, targets: Tensor) -> tuple[int, ...]:
        """Return the targets' shape."""
        del outputs
        return tuple(targets.shape)


@final
@dataclass(frozen=True)
class Regression(Values):
    """Values: each output is compared with a number of its own.

    Outputs and targets are [B, C, ...]; the dimension of a single output may be left out of the
    targets.

    Examples:
        >>> Regression().rows(torch.zeros(5, 3), torch.ones(5, 3)).outputs.shape
        torch.Size([15, 1])
    """

    name: ClassVar[str] = "regression"
    family: ClassVar[str] = "regression"
    metric: ClassVar[str] = "mse"
    default_loss: ClassVar[str] = "mse"
    rivals: ClassVar[tuple[str, ...]] = (
        "mse",
        "mae",
        "huber:delta=0.1",
        "huber:delta=0.3",
        "huber:delta=1",
        "log_cosh",
        "student_t",
    )
    words: ClassVar[Words] = Words(
        default_loss="squared error",
        prediction="prediction p",
        position="error p - y",
        pull="pull towards the target",
        row="error",
        targets="values [B, C]",
        prepared="p is the output, y the target",
    )
    prediction_source: ClassVar[str] = """\
    p = outputs
"""

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the outputs."""
        return outputs

    def pull_back(self, cotangent: Tensor, p: Tensor) -> Tensor:
        """Return the derivative as it is."""
        del p
        return cotangent

    def default_values(self, y: Tensor, p: Tensor) -> Tensor:
        """Return the squared error."""
        return (p - y).square()

    def row_scores(self, rows: Rows) -> Tensor:
        """Return the squared errors."""
        return (rows.outputs - rows.targets).square().squeeze(-1)

    def check_targets(self, part: str, targets: Tensor, outputs: int, need: Require) -> None:
        """Check that targets are finite values."""
        fits = targets.dtype == torch.float32 and targets.shape[1:2] == (outputs,)
        _check_type(self, part, targets, fits, f"float32 [rows, {outputs}]", need)
        need(
            bool(targets.isfinite().all()),
            f"the {part} split holds NaN, infinite or float32-exceeding values; mend them",
        )

    def check_learnable(
        self, targets: Tensor, outputs: int, names: tuple[str, ...], need: Require
    ) -> None:
        """Check that each output's target varies."""
        del outputs, names
        varied = bool((targets != targets[0]).any(dim=0).all())
        need(varied, "the target is constant on the training rows; nothing to learn")


KINDS: Mapping[str, type[Kind]] = MappingProxyType(
    {kind.name: kind for kind in (Classification, MultiLabel, Regression)}
)
"""The kinds by name; a line here registers one."""


def as_kind(kind: Kind | str) -> Kind:
    """Return a kind by its name, or as it is.

    Raises:
        ConfigurationError: there is no such kind.

    Examples:
        >>> as_kind("multilabel")
        MultiLabel(ignore_index=-100)
    """
    if isinstance(kind, Kind):
        return kind
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigurationError(f"kind must be {' or '.join(KINDS)}, not {kind!r}")
    return KINDS[kind]()


def _by_output(weight: Tensor, rows: Rows, what: str) -> Tensor:
    """Return weights [C] of the second dimension of outputs, one for each row, [N, 1]."""
    shape = rows.shape
    count = shape[1] if len(shape) > 1 else 1
    if weight.shape != (count,):
        raise DataError(
            f"weight of shape {tuple(weight.shape)} must hold {count} numbers, one for each {what}"
        )
    along = weight.to(rows.outputs.dtype).view(-1, *[1] * max(0, len(shape) - 2))
    return along.expand(shape).reshape(-1, 1)


def _check_type(
    kind: Kind, part: str, targets: Tensor, fits: bool, needed: str, need: Require
) -> None:
    found = f"{str(targets.dtype).removeprefix('torch.')} {list(targets.shape)}"
    need(fits, f"{part} targets are {found}, but {kind} needs {needed}")


def _check_names(names: tuple[str, ...], outputs: int, need: Require) -> None:
    need(len(names) in (0, outputs), f"{len(names)} names for {outputs} classes; name each")
