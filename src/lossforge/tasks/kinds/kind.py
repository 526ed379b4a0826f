"""What every kind of task has: how outputs and targets become rows, and how they are judged."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from lossforge.tasks.rows import Rows, full_precision

Require = Callable[[bool, str], None]
"""Raises a `DataError` with the message unless the condition holds."""


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
        """Return [..., N, K] for outputs, or a direction in them, of `shape`; it is linear."""

    @abstractmethod
    def from_rows(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """Return a derivative by the rows, [..., N, K], as one by the outputs, of `shape`.

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
            >>> from lossforge.tasks.kinds import Classification
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
