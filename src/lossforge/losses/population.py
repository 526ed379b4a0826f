"""Many losses evaluated together: what a search and its training loops need of them.

Two derivatives suffice for everything: the slope dM/df, under which networks train, and the mixed
derivative d/dphi <dM/df, direction>, from which hypergradients are made.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy, deepcopy
from typing import Self, final

import torch
from torch import Tensor
from torch.func import functional_call

from lossforge.losses.expression import Program
from lossforge.losses.loss import Loss
from lossforge.losses.symbolic import SymbolicLoss
from lossforge.tasks.rows import Rows
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
        """Return dM/df of every loss, [P, B, C, ...].

        Args:
            outputs: [P, B, C, ...], or [B, C, ...] where all losses see the same.
            targets: of the batch.
        """

    @abstractmethod
    def mixed(self, outputs: Tensor, targets: Tensor, tangent: Tensor) -> Tensor:
        """Return d/dphi <dM/df, tangent> of every loss, [P, N]; zero in the padding.

        Args:
            outputs: [P, B, C, ...], or [B, C, ...] where all losses see the same.
            targets: of the batch.
            tangent: a direction in the outputs of each loss, [P, B, C, ...].
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
        losses: of one kind and class weights, all with softplus or all without.
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
        require(
            all(equal_weights(loss.weight, losses[0].weight) for loss in losses),
            "the losses of a population must have the same class weights",
        )
        weight = losses[0].weight
        self._weight = None if weight is None else weight.to(self._device)
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
        rows = self._kind.rows(outputs, targets)
        y, p = self._pair(rows)
        _, slope = self._program.slope(y, p, self.coefficients)
        return rows.restored(self._averaged(rows, self._kind.pull_back(slope, p)))

    def mixed(self, outputs: Tensor, targets: Tensor, tangent: Tensor) -> Tensor:
        """Return d/dphi <dM/df, tangent> of every loss, [P, N]."""
        rows = self._kind.rows(outputs, targets)
        y, p = self._pair(rows)
        direction = self._kind.push_forward(self._averaged(rows, rows.flattened(tangent)), p)
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
        return old.with_coefficients(self.coefficients[index, : old.expression.size].cpu())

    def _averaged(self, rows: Rows, tensor: Tensor) -> Tensor:
        """Return each row's share [..., N, K] of a mean, weighted by the row's class."""
        if self._weight is None:
            return rows.averaged(tensor)
        terms = self._kind.term_weights(self._weight, rows)
        weights = self._kind.row_weights(terms, rows)
        return rows.averaged(tensor, weights, self._kind.masses(terms, rows))

    def _pair(self, rows: Rows) -> tuple[Tensor, Tensor]:
        shape, count = rows.outputs.shape, rows.outputs.shape[-2]
        flat = rows.outputs.detach().reshape(-1, shape[-1])
        p = self._kind.predictions(flat).reshape(shape)
        y = self._kind.encode(rows.targets, flat[:count])
        return y, p


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
        common = self._losses[0].kind.is_common(outputs, targets)
        return outputs.expand(len(self), *outputs.shape) if common else outputs


def as_population(losses: Sequence[Loss], device: torch.device | str = "cpu") -> LossPopulation:
    """Return the losses as the fastest kind of population that holds them, on `device`."""
    symbolic = [
        loss
        for loss in losses
        if isinstance(loss, SymbolicLoss) and equal_weights(loss.weight, losses[0].weight)
    ]
    if len(symbolic) == len(losses) and len({loss.softplus for loss in symbolic}) == 1:
        return SymbolicPopulation(symbolic, device)
    return ModulePopulation([loss.to(device) for loss in losses])


def equal_weights(a: Tensor | None, b: Tensor | None) -> bool:
    """Tell whether class weights are the same, on whatever devices they are."""
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and bool((a.cpu() == b.cpu()).all())


def _flatten(loss: Loss) -> Tensor:
    parameters = [parameter.detach().reshape(-1) for parameter in loss.parameters()]
    return torch.cat(parameters) if parameters else torch.empty(0)


def _unflatten(loss: Loss, coefficients: Tensor) -> dict[str, Tensor]:
    named, start = {}, 0
    for name, parameter in loss.named_parameters():
        named[name] = coefficients[start : start + parameter.numel()].view_as(parameter)
        start += parameter.numel()
    return named
