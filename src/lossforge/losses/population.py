"""Many losses evaluated together: what a search and its training loops need of them.

Two derivatives suffice for everything: the slope dM/df, under which networks train, and the mixed
derivative d/dphi <dM/df, direction>, from which hypergradients are made.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from typing import Self, final

import torch
from torch import Tensor
from torch.func import functional_call

from lossforge.losses.expression import Program
from lossforge.losses.loss import Loss
from lossforge.losses.preparation import (
    encode_targets,
    labels_to_count,
    predictions,
    pull_back,
    push_forward,
)
from lossforge.losses.symbolic import SymbolicLoss
from lossforge.tasks.task import Kind
from lossforge.validation import require


class LossPopulation(ABC):
    """P losses of one kind, averaged over the examples of a batch.

    Attributes:
        coefficients: what can be learned of each loss, [P, N], padded where losses differ in size.
    """

    coefficients: Tensor

    @final
    def __len__(self) -> int:
        return len(self.coefficients)

    @abstractmethod
    def slope(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return dM/df of every loss, [P, B, C].

        Args:
            outputs: [P, B, C], or [B, C] where all losses see the same.
            targets: of the batch, [B] or [B, C].
        """

    @abstractmethod
    def mixed(self, outputs: Tensor, targets: Tensor, tangent: Tensor) -> Tensor:
        """Return d/dphi <dM/df, tangent> of every loss, [P, N]; zero in the padding.

        Args:
            outputs: [P, B, C], or [B, C] where all losses see the same.
            targets: of the batch, [B] or [B, C].
            tangent: a direction in the outputs of each loss, [P, B, C].
        """

    @abstractmethod
    def scalar(self, index: int, coefficients: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return one loss of one batch, differentiable in its coefficients [N] and the outputs."""

    @abstractmethod
    def with_coefficients(self, coefficients: Tensor) -> Self:
        """Return the same losses with other coefficients [P, N]."""

    @abstractmethod
    def select(self, indices: Sequence[int]) -> "LossPopulation":
        """Return the losses at `indices`."""

    @abstractmethod
    def loss(self, index: int) -> Loss:
        """Return one loss as a module of its own."""


@final
class SymbolicPopulation(LossPopulation):
    """Symbolic losses of unlike form, evaluated as one program.

    Args:
        losses: of one kind, all with softplus or all without.
        device: where they are evaluated.

    Examples:
        >>> population = SymbolicPopulation([SymbolicLoss("-y*log(p)"), SymbolicLoss("abs(y - p)")])
        >>> population.slope(torch.zeros(3, 2), torch.tensor([0, 1, 0])).shape
        torch.Size([2, 3, 2])
    """

    def __init__(self, losses: Sequence[SymbolicLoss], device: torch.device | str = "cpu"):
        require(len(losses) > 0, "a population needs at least one loss")
        self._losses = list(losses)
        self._device = torch.device(device)
        self._kind, self._softplus = losses[0].kind, losses[0].softplus
        require(
            all(loss.kind == self._kind and loss.softplus == self._softplus for loss in losses),
            "the losses of a population must be of one kind, all with softplus or all without",
        )
        dtype = losses[0].coefficients.dtype
        self._program = Program(
            [loss.expression for loss in losses],
            softplus=self._softplus,
            device=self._device,
            dtype=dtype,
        )
        size = max(loss.expression.size for loss in losses)
        coefficients = torch.ones(len(losses), size, dtype=dtype)
        for row, loss in zip(coefficients, losses, strict=True):
            row[: loss.expression.size] = loss.coefficients.detach()
        self.coefficients = coefficients.to(self._device)

    def slope(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return dM/df of every loss, [P, B, C]."""
        rows = _Rows.of(outputs, targets, self._kind)
        y, p = self._pair(rows)
        _, slope = self._program.slope(y, p, self.coefficients)
        return rows.restored(rows.averaged(pull_back(slope, p, self._kind)))

    def mixed(self, outputs: Tensor, targets: Tensor, tangent: Tensor) -> Tensor:
        """Return d/dphi <dM/df, tangent> of every loss, [P, N]."""
        rows = _Rows.of(outputs, targets, self._kind)
        y, p = self._pair(rows)
        direction = push_forward(rows.averaged(rows.flattened(tangent)), p, self._kind)
        *_, mixed = self._program.mixed(y, p, direction, self.coefficients)
        return mixed

    def scalar(self, index: int, coefficients: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return one loss of one batch, differentiable."""
        loss = self._losses[index]
        used = coefficients[: loss.expression.size]
        value = functional_call(loss, {"coefficients": used}, (outputs, targets))
        assert isinstance(value, Tensor)
        return value

    def with_coefficients(self, coefficients: Tensor) -> Self:
        """Return the same losses with other coefficients; the compiled program is shared."""
        other = copy(self)
        other.coefficients = coefficients
        return other

    def select(self, indices: Sequence[int]) -> "SymbolicPopulation":
        """Return the losses at `indices` with their present coefficients."""
        return SymbolicPopulation([self.loss(index) for index in indices], self._device)

    def loss(self, index: int) -> SymbolicLoss:
        """Return one loss with its present coefficients."""
        old = self._losses[index]
        size = old.expression.size
        return SymbolicLoss(
            old.expression,
            self.coefficients[index, :size].cpu(),
            kind=self._kind,
            softplus=self._softplus,
        )

    def _pair(self, rows: "_Rows") -> tuple[Tensor, Tensor]:
        shape, count = rows.outputs.shape, rows.outputs.shape[-2]
        flat = rows.outputs.detach().reshape(-1, shape[-1])
        p = predictions(flat, self._kind).reshape(shape)
        y = encode_targets(rows.targets, flat[:count], self._kind)
        return y, p


@final
@dataclass(frozen=True)
class _Rows:
    """Outputs and targets with each position as a row of its own.

    Attributes:
        outputs: [P, N, C], or [N, C] where all losses see the same.
        targets: [N] labels in range, or [N, C].
        ignored: [N], rows that do not count; None for none.
        positions: dimensions of the outputs after the class dimension.
    """

    outputs: Tensor
    targets: Tensor
    ignored: Tensor | None
    positions: torch.Size

    @classmethod
    def of(cls, outputs: Tensor, targets: Tensor, kind: Kind) -> "_Rows":
        """Return outputs [P, B, C, ...] or [B, C, ...] and targets [B, ...] or [B, C, ...]."""
        one = outputs if is_common(outputs, targets) else outputs[0]
        targets, ignored = labels_to_count(targets, one, kind, Loss.ignore_index)
        positions = one.shape[2:]
        if positions:
            has_classes = targets.shape == one.shape
            targets = targets.movedim(1, -1).flatten(0, -2) if has_classes else targets.flatten()
        ignored = None if ignored is None else ignored.flatten()
        found = cls(outputs, targets, ignored, positions)
        return replace(found, outputs=found.flattened(outputs))

    def flattened(self, tensor: Tensor) -> Tensor:
        """Return a tensor [..., B, C, positions] as [..., N, C]."""
        if not self.positions:
            return tensor
        classes = tensor.dim() - len(self.positions) - 1
        return tensor.movedim(classes, -1).flatten(classes - 1, -2)

    def restored(self, tensor: Tensor) -> Tensor:
        """Return a tensor [..., N, C] as [..., B, C, positions]."""
        if not self.positions:
            return tensor
        apart: Tensor = tensor.unflatten(-2, (-1, *self.positions))
        return apart.movedim(-1, -1 - len(self.positions))

    def averaged(self, tensor: Tensor) -> Tensor:
        """Return each row's share [..., N, C] of a mean over the rows that count."""
        if self.ignored is None:
            return tensor / tensor.shape[-2]
        return tensor.masked_fill(self.ignored[:, None], 0) / (~self.ignored).sum()


def is_common(outputs: Tensor, targets: Tensor) -> bool:
    """Tell whether outputs are [B, C, ...], seen by all losses, and not [P, B, C, ...]."""
    apart = outputs.dim() - targets.dim()
    if targets.is_floating_point() and apart == 1:
        return targets.shape != outputs.shape[1:]
    return apart < 2


@final
class ModulePopulation(LossPopulation):
    """Losses of any class, differentiated one by one by autograd.

    Their coefficients are what ``parameters()`` gives, flattened.

    Examples:
        >>> from lossforge.losses.handcrafted import CrossEntropy, Focal
        >>> population = ModulePopulation([CrossEntropy(), Focal()])
        >>> population.slope(torch.zeros(3, 2), torch.tensor([0, 1, 0])).shape
        torch.Size([2, 3, 2])
    """

    def __init__(self, losses: Sequence[Loss]):
        require(len(losses) > 0, "a population needs at least one loss")
        require(
            len({loss.kind for loss in losses}) == 1,
            "the losses of a population must be of one kind",
        )
        self._losses = list(losses)
        flat = [_flatten(loss) for loss in losses]
        self.coefficients = torch.nn.utils.rnn.pad_sequence(flat, batch_first=True)

    def slope(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return dM/df of every loss, [P, B, C]."""
        slopes: list[Tensor] = []
        for index, mine in enumerate(self._outputs_of_each(outputs, targets)):
            leaf = mine.detach().requires_grad_()
            with torch.enable_grad():
                value = self.scalar(index, self.coefficients[index], leaf, targets)
                slopes += torch.autograd.grad(value, leaf)
        return torch.stack(slopes)

    def mixed(self, outputs: Tensor, targets: Tensor, tangent: Tensor) -> Tensor:
        """Return d/dphi <dM/df, tangent> of every loss, [P, N]."""
        rows: list[Tensor] = []
        for index, mine in enumerate(self._outputs_of_each(outputs, targets)):
            leaf = mine.detach().requires_grad_()
            learned = self.coefficients[index].detach().requires_grad_()
            with torch.enable_grad():
                value = self.scalar(index, learned, leaf, targets)
                (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
                inner = (slope * tangent[index]).sum() + 0 * learned.sum()
                rows += torch.autograd.grad(inner, learned)
        return torch.stack(rows)

    def scalar(self, index: int, coefficients: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return one loss of one batch, differentiable."""
        loss = self._losses[index]
        value = functional_call(loss, _unflatten(loss, coefficients), (outputs, targets))
        assert isinstance(value, Tensor)
        return value

    def with_coefficients(self, coefficients: Tensor) -> Self:
        """Return the same losses with other coefficients."""
        other = copy(self)
        other.coefficients = coefficients
        return other

    def select(self, indices: Sequence[int]) -> LossPopulation:
        """Return the losses at `indices` with their present coefficients."""
        return as_population([self.loss(index) for index in indices], self.coefficients.device)

    def loss(self, index: int) -> Loss:
        """Return a copy of one loss with its present coefficients."""
        loss = deepcopy(self._losses[index])
        with torch.no_grad():
            for name, value in _unflatten(loss, self.coefficients[index]).items():
                loss.get_parameter(name).copy_(value)
        return loss

    def _outputs_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        common = is_common(outputs, targets)
        return outputs.expand(len(self), *outputs.shape) if common else outputs


def as_population(losses: Sequence[Loss], device: torch.device | str = "cpu") -> LossPopulation:
    """Return the losses as the fastest kind of population that holds them, on `device`."""
    symbolic = [loss for loss in losses if isinstance(loss, SymbolicLoss)]
    if len(symbolic) == len(losses) and len({loss.softplus for loss in symbolic}) == 1:
        return SymbolicPopulation(symbolic, device)
    return ModulePopulation([loss.to(device) for loss in losses])


def _flatten(loss: Loss) -> Tensor:
    parameters = [parameter.detach().reshape(-1) for parameter in loss.parameters()]
    return torch.cat(parameters) if parameters else torch.empty(0)


def _unflatten(loss: Loss, coefficients: Tensor) -> dict[str, Tensor]:
    named, start = {}, 0
    for name, parameter in loss.named_parameters():
        named[name] = coefficients[start : start + parameter.numel()].view_as(parameter)
        start += parameter.numel()
    return named
