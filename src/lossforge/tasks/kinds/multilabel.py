"""Any number of labels for each example."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from lossforge.errors import DataError
from lossforge.tasks.kinds.checks import check_names, check_type
from lossforge.tasks.kinds.classification import Classification
from lossforge.tasks.kinds.each_output import EachOutput, by_output
from lossforge.tasks.kinds.kind import Kind, Require, Words
from lossforge.tasks.kinds.labels import Labels
from lossforge.tasks.rows import Rows, full_precision


@final
@dataclass(frozen=True)
class MultiLabel(Labels, EachOutput):
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
    output_word: ClassVar[str] = "label"
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

    def row_size(self, outputs: int) -> int:
        """Return 2."""
        del outputs
        return 2

    @property
    def row_kind(self) -> Kind:
        """One of two classes."""
        return Classification(self.ignore_index)

    def term_weights(self, weight: Tensor, rows: Rows) -> Tensor:
        """Return the weights [L] of the labels, [N, 1], or [L, 2] of absence and presence, [N, 2].

        Raises:
            DataError: there are not as many weights as labels.
        """
        if weight.dim() == 1:
            return super().term_weights(weight, rows)
        if weight.dim() != 2 or weight.shape[1] != 2:
            raise DataError(
                f"weight of shape {tuple(weight.shape)} must be [labels] or [labels, 2]; a second "
                "column weighs the presence of each label"
            )
        return torch.cat([by_output(each, rows, "label") for each in weight.unbind(1)], 1)

    def row_weights(self, term_weights: Tensor, rows: Rows) -> Tensor:
        """Return the weights of the rows' labels, of what the target says of them."""
        if term_weights.shape[1] == 1:
            return term_weights[:, 0]
        return (term_weights * self.encode(rows.targets, rows.outputs)).sum(1)

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

    def check_targets(self, part: str, targets: Tensor, outputs: int, need: Require) -> None:
        """Check that targets are 0, 1, between them or ignored, and that some count."""
        well_typed = targets.dtype in (torch.float32, torch.int64)
        fits = well_typed and targets.dim() >= 2 and targets.shape[1] == outputs
        needed = f"float32 or int64 [rows, {outputs}]"
        check_type(self, part, targets, fits, needed, need)
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
        check_names(names, outputs, need)
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
