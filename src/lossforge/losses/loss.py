"""What a loss is: a module that maps (outputs, targets) to a number per row, then reduces."""

from abc import ABC, abstractmethod
from copy import deepcopy
from typing import ClassVar, NoReturn, Self, TypedDict, assert_never, final

import torch
from torch import Tensor, nn

from lossforge.errors import ConfigurationError
from lossforge.tasks.kinds import IGNORED, Kind, as_kind
from lossforge.tasks.rows import Reduction as Reduction  # noqa: PLC0414  # told from here
from lossforge.tasks.rows import Rows
from lossforge.tasks.task import Task
from lossforge.validation import require


class LabelOptions(TypedDict, total=False):
    """What every loss takes besides its own numbers, as in PyTorch."""

    weight: Tensor | None
    pos_weight: Tensor | None
    ignore_index: int


def require_reduction(reduction: str) -> None:
    """Raise `ConfigurationError` unless the reduction is one of PyTorch's."""
    require(
        reduction in ("mean", "sum", "none"),
        f"reduction must be mean, sum or none, not {reduction!r}",
    )


def reduce(values: Tensor, reduction: Reduction) -> Tensor:
    """Return the mean or the sum of all values, or the values."""
    match reduction:
        case "mean":
            return values.mean()
        case "sum":
            return values.sum()
        case "none":
            return values
    assert_never(reduction)


class Loss(nn.Module, ABC):
    """A loss, called as ``loss(outputs, targets)``.

    A row is what one prediction is made of (`lossforge.tasks.kinds`): in classification a position
    with its classes, in regression and with several labels each output. As in PyTorch, a loss has a
    number for each.

    Args:
        kind: "classification", "multilabel" or "regression", or one of `lossforge.tasks.kinds`.
        reduction: "mean" over the rows that count, their "sum", or "none" for one number a row.
        weight: of each class, [C] (of each label or output for the other kinds). A loss that is a
            sum over the classes has each term multiplied, as in PyTorch; any other is multiplied by
            the weight of the row's class. A mean divides by the sum of the weights, except where
            PyTorch does not: for probabilities as targets, and for several labels. There it may
            also be [L, 2], of each label's absence and presence.
        pos_weight: of each label's presence, [L], for several labels: as in
            ``torch.nn.BCEWithLogitsLoss``. It becomes a part of ``weight``.
        ignore_index: label of what does not count, such as padding or void pixels; by default the
            kind's, -100. A mean over nothing is NaN, as in PyTorch.
    """

    is_separable: ClassVar[bool] = True
    """whether a row's value depends on that row alone"""

    weight: Tensor | None

    def __init__(
        self,
        kind: Kind | str,
        reduction: Reduction = "mean",
        *,
        weight: Tensor | None = None,
        pos_weight: Tensor | None = None,
        ignore_index: int | None = None,
    ):
        super().__init__()
        require_reduction(reduction)
        kind = as_kind(kind)
        if ignore_index not in (None, IGNORED):
            kind = kind.with_ignore_index(ignore_index)
        self.kind: Kind = kind
        self.reduction: Reduction = reduction
        require(
            weight is None or (isinstance(weight, Tensor) and weight.is_floating_point()),
            f"weight must be a tensor of floating-point numbers, one a class, not {weight!r}",
        )
        if pos_weight is not None:
            weight = _with_presence(weight, pos_weight)
        self.register_buffer("weight", weight, persistent=False)

    @property
    def ignore_index(self) -> int | None:
        """Label of what does not count; None where there are no labels."""
        return self.kind.ignored_label

    @final
    def for_kind(self, kind: Kind, name: str = "") -> Self:
        """Return the same loss for tasks of a kind, whose `ignore_index` it takes over.

        Args:
            kind: of the tasks.
            name: what a message calls the loss; by default what it is.

        Raises:
            ConfigurationError: it does not serve the kind.

        Examples:
            >>> from lossforge.losses import CrossEntropy
            >>> from lossforge.tasks.kinds import MultiLabel
            >>> CrossEntropy().for_kind(MultiLabel()).kind
            MultiLabel(ignore_index=-100)
        """
        if not kind.shares_losses_with(self.kind):
            raise ConfigurationError(f"{name or self} is a loss for {self.kind}, not {kind}")
        served = deepcopy(self)
        served.kind = kind
        return served

    def for_task(self, task: Task) -> Self:
        """Return the same loss for a task: its kind, and weights that depend on its classes.

        Raises:
            ConfigurationError: it does not serve the kind.
        """
        return self.for_kind(task.kind)

    def forward(
        self, outputs: Tensor, targets: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss, reduced.

        Args:
            outputs: what a network gives, [B, C, ...].
            targets: labels [B, ...] or probabilities [B, C, ...] (classification), values
                [B, C, ...] (regression), 0 or 1 for each output (several labels).
            sample_weight: of each example, [B], or of each row. Rows count as if they were there so
                many times: a mean divides by the sum of the weights.

        Raises:
            DataError: shapes or types do not fit each other, or a label is out of range.
        """
        rows = self.kind.rows(outputs, targets)
        if self.weight is None and sample_weight is None:
            return rows.reduced(self.per_row(rows.outputs, rows.targets), None, self.reduction)
        values, masses = self._weighted(rows)
        if sample_weight is not None:
            factors = rows.sample_weights(sample_weight).to(values.dtype)
            values, masses = values * factors, factors if masses is None else masses * factors
        return rows.reduced(values, masses, self.reduction)

    def _weighted(self, rows: Rows) -> tuple[Tensor, Tensor | None]:
        if self.weight is None:
            return self.per_row(rows.outputs, rows.targets), None
        weights = self.kind.term_weights(self.weight, rows)
        return self.weighted_rows(rows, weights), self.kind.masses(weights, rows)

    @final
    def per_example(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each row without weights, [B, ...] or [B, C, ...]."""
        rows = self.kind.rows(outputs, targets)
        return rows.by_position(self.per_row(rows.outputs, rows.targets))

    def __prepare_scriptable__(self) -> NoReturn:
        """Say what to do in place of ``torch.jit.script``, which calls this."""
        raise ConfigurationError(
            "torch.jit.script cannot compile losses; use torch.export.export or torch.jit.trace, "
            "or write the loss as plain PyTorch: lossforge export LOSS --to torch"
        )

    @abstractmethod
    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each row, [N].

        Args:
            outputs: [N, K], in single or double precision.
            targets: labels in range, [N] (int64), or values [N, K].
        """

    def weighted_rows(self, rows: Rows, term_weights: Tensor) -> Tensor:
        """Return the loss of each row with classes weighted, [N].

        Args:
            rows: of a batch.
            term_weights: of the classes, [K] or [N, 1].
        """
        values = self.per_row(rows.outputs, rows.targets)
        return values * self.kind.row_weights(term_weights, rows)

    @abstractmethod
    def definition(self) -> dict[str, object]:
        """Return the loss as plain data, from which `lossforge.load` builds it again."""

    def weights(self) -> dict[str, Tensor]:
        """Return what is too large for the definition; `load_state_dict` takes it back."""
        return {}

    def __repr__(self) -> str:
        """Return the class with the formula: what tells losses apart."""
        return f"{type(self).__name__}({self})"

    @abstractmethod
    def __str__(self) -> str:
        """Return the formula, or what describes the loss best in a line."""


def _with_presence(weight: Tensor | None, pos_weight: Tensor) -> Tensor:
    """Return weights [L, 2] of the absence and the presence of labels."""
    require(
        isinstance(pos_weight, Tensor) and pos_weight.is_floating_point() and pos_weight.dim() == 1,
        f"pos_weight must be a tensor of floating-point numbers, one a label, not {pos_weight!r}",
    )
    require(
        weight is None or weight.shape == pos_weight.shape,
        "weight and pos_weight must hold a number for each label",
    )
    both = torch.stack([torch.ones_like(pos_weight), pos_weight], 1)
    return both if weight is None else both * weight[:, None]


class ElementwiseLoss(Loss, ABC):
    """A loss that is a sum over a row's outputs of one function of (y, p)."""

    @final
    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each row, [N]."""
        y = self.kind.encode(targets, outputs)
        return self.elementwise(y, self.kind.predictions(outputs)).sum(1)

    @abstractmethod
    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        """Return the loss of each output, shaped like `p`."""
