"""What a loss is: a module that maps (outputs, targets) to a number per example, then reduces."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NoReturn, assert_never, final

from torch import Tensor, nn

from lossforge.errors import ConfigurationError
from lossforge.losses.preparation import encode_targets, labels_to_count, predictions
from lossforge.tasks.task import Kind
from lossforge.validation import require

Reduction = Literal["mean", "sum", "none"]


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

    Args:
        kind: "classification" or "regression".
        reduction: "mean" over the examples, their "sum", or "none" for one number an example.
    """

    ignore_index: int = -100
    """label of positions that do not count, as in PyTorch"""
    is_separable: ClassVar[bool] = True
    """whether an example's value depends on that example alone"""

    def __init__(self, kind: Kind, reduction: Reduction = "mean"):
        super().__init__()
        require(
            kind in ("classification", "regression"),
            f"kind must be classification or regression, not {kind!r}",
        )
        require_reduction(reduction)
        self.kind: Kind = kind
        self.reduction: Reduction = reduction

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of `outputs` [B, C, ...] for `targets`, reduced.

        Positions whose label is `ignore_index` add nothing, and a mean is that over the others. See
        `lossforge.losses.preparation.encode_targets` for the targets' shapes.
        """
        targets, ignored = labels_to_count(targets, outputs, self.kind, self.ignore_index)
        values = self.per_example(outputs, targets)
        if ignored is None:
            return reduce(values, self.reduction)
        values = values.masked_fill(ignored, 0)
        if self.reduction == "mean":
            return values.sum() / (~ignored).sum()
        return reduce(values, self.reduction)

    def __prepare_scriptable__(self) -> NoReturn:
        """Say what to do in place of ``torch.jit.script``, which calls this."""
        raise ConfigurationError(
            "torch.jit.script cannot compile losses; use torch.export.export or torch.jit.trace, "
            "or write the loss as plain PyTorch: lossforge export LOSS --to torch"
        )

    @abstractmethod
    def per_example(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example (and position), [B, ...], summed over the outputs."""

    @abstractmethod
    def definition(self) -> dict[str, object]:
        """Return the loss as plain data, from which `lossforge.load` builds it again."""

    def weights(self) -> dict[str, Tensor]:
        """Return what is too large for the definition; `load_state_dict` takes it back."""
        return {}

    @abstractmethod
    def __str__(self) -> str:
        """Return the formula, or what describes the loss best in a line."""


class ElementwiseLoss(Loss, ABC):
    """A loss that is a sum over the outputs of one function of (y, p)."""

    @final
    def per_example(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example (and position), [B, ...]."""
        y = encode_targets(targets, outputs, self.kind)
        return self.elementwise(y, predictions(outputs, self.kind)).sum(1)

    @abstractmethod
    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        """Return the loss of each output, shaped like `p`."""
