"""Kinds whose rows are classified."""

from abc import ABC
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from lossforge.errors import DataError
from lossforge.tasks.kinds.kind import Kind
from lossforge.tasks.rows import Rows, is_recorded
from lossforge.validation import require

MARGIN_SLOPE = 4.0
"""of the sigmoid of a margin, in units of the outputs' root mean square"""

IGNORED = -100
"""PyTorch's default label of positions that do not count"""


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
            >>> from lossforge.tasks.kinds import Classification
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
