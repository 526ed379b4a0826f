"""One of several classes for each example, or for each of its positions."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from lossforge.errors import DataError
from lossforge.tasks.kinds.checks import check_names, check_type
from lossforge.tasks.kinds.kind import Require, Words
from lossforge.tasks.kinds.labels import Labels
from lossforge.tasks.rows import Rows, full_precision

SHARES_ADD_UP = 1e-4
"""by how much the sum of a target's shares may differ from 1"""


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
        """Return integers as int64, shares of the classes as float32."""
        return targets.float() if targets.is_floating_point() else targets.long()

    def count_outputs(self, targets: Tensor) -> int:
        """Return one more than the greatest label that counts; of shares, their number."""
        if targets.is_floating_point() and targets.dim() > 1:
            return int(targets.shape[1])
        labels = targets[targets != self.ignore_index]
        return int(labels.max()) + 1 if labels.numel() else 0

    def output_shape(self, outputs: int, targets: Tensor) -> tuple[int, ...]:
        """Return [B, classes, ...] for labels [B, ...]; the shape of shares."""
        if targets.is_floating_point():
            return tuple(targets.shape)
        return (len(targets), outputs, *targets.shape[1:])

    def check_targets(self, part: str, targets: Tensor, outputs: int, need: Require) -> None:
        """Check that labels are in range, and that some count; or that shares add up to 1."""
        if targets.is_floating_point() and targets.dim() > 1 and targets.shape[1] == outputs:
            sums = targets.double().sum(1)
            need(
                bool((targets >= 0).all()) and bool(((sums - 1).abs() < SHARES_ADD_UP).all()),
                f"{part} targets [rows, {outputs}] are no shares of the classes; make them "
                "nonnegative with the sum 1, or give integer labels",
            )
            return
        check_type(self, part, targets, targets.dtype == torch.int64, "int64 [rows]", need)
        need(
            targets.dim() == 1 or targets.shape[-1] > 1,
            f"{part} targets are int64 {list(targets.shape)}, but classification needs int64 "
            "[rows], or [rows, positions...] with more than one position",
        )
        labels = targets[targets != self.ignore_index]
        need(labels.numel() > 0, f"no label of the {part} split counts; give some")
        low, high, classes = int(labels.min()), int(labels.max()), max(2, outputs)
        need(
            low >= 0 and high < classes,
            f"{part} labels run from {low} to {high}, but {classes} classes are labeled "
            f"0 to {classes - 1}",
        )

    def check_learnable(
        self, targets: Tensor, outputs: int, names: tuple[str, ...], need: Require
    ) -> None:
        """Check that there are two classes or more, each with training rows."""
        classes = max(2, outputs)
        check_names(names, classes, need)
        if targets.is_floating_point():
            counts = targets.movedim(1, -1).flatten(0, -2).sum(0)
        else:
            counts = targets[targets != self.ignore_index].bincount(minlength=classes)
        absent = (counts == 0).nonzero().flatten().tolist()
        listed = ", ".join(repr(names[i]) if names else str(i) for i in absent)
        need(
            len(absent) < classes - 1,
            f"class {listed} has no training row, so there is one class only; classification "
            "needs two or more",
        )
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
