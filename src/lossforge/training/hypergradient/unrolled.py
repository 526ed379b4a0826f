"""The hypergradient through several inner steps: the steps themselves are differentiated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from lossforge.training.hypergradient.transport import Batch, Start
from lossforge.training.optimizers import State, Tensors

InnerLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Maps the loss's coefficients, the outputs and the targets to a scalar."""

TaskLoss = Callable[[Tensor, Tensor], Tensor]


@final
@dataclass(frozen=True)
class _Point:
    """A moment of training: parameters and the optimizer's state."""

    parameters: Tensors
    state: State

    def tensors(self) -> Tensors:
        return self.parameters + [tensor for slot in self.state.slots for tensor in slot]

    def leaf(self) -> "_Point":
        """Return the same numbers as leaves of a new graph."""
        slots = tuple(_leaves(slot) for slot in self.state.slots)
        return _Point(_leaves(self.parameters), replace(self.state, slots=slots))


def unrolled(
    start: Start,
    loss: InnerLoss,
    coefficients: Tensor,
    train: Sequence[Batch],
    valid: Batch,
    task_loss: TaskLoss,
) -> tuple[Tensor, Tensor]:
    """Return dT/dphi [N] after one inner step a batch of `train`, and T.

    All steps are kept in memory until the last is taken.
    """
    learned = coefficients.detach().requires_grad_()
    point = _Point(start.parameters, start.state).leaf()
    for batch in train:
        point = _inner_step(start, loss, learned, point, batch)
    value = task_loss(start.network(point.parameters, valid[0]), valid[1])
    (gradient,) = torch.autograd.grad(value, learned, materialize_grads=True)
    return gradient, value.detach()


def recomputed(
    start: Start,
    loss: InnerLoss,
    coefficients: Tensor,
    train: Sequence[Batch],
    valid: Batch,
    task_loss: TaskLoss,
) -> tuple[Tensor, Tensor]:
    """Return what `unrolled` does, in the memory of one step: each is run again on the way back."""
    learned = coefficients.detach().requires_grad_()
    points = [_Point(start.parameters, start.state).leaf()]
    for batch in train:
        points.append(_inner_step(start, loss, learned, points[-1], batch, build=False).leaf())
    last = points.pop()
    value = task_loss(start.network(last.parameters, valid[0]), valid[1])
    adjoint = list(torch.autograd.grad(value, last.tensors(), materialize_grads=True))
    gradient = torch.zeros_like(learned)
    for batch, point in zip(reversed(train), reversed(points), strict=True):
        following = _inner_step(start, loss, learned, point, batch)
        *adjoint, share = _pull_back(following.tensors(), [*point.tensors(), learned], adjoint)
        gradient += share
    return gradient, value.detach()


def _inner_step(
    start: Start,
    loss: InnerLoss,
    learned: Tensor,
    point: _Point,
    batch: Batch,
    *,
    build: bool = True,
) -> _Point:
    """Take one optimizer step under the learned loss; differentiable with `build`."""
    inputs, targets = batch
    value = loss(learned, start.network(point.parameters, inputs), targets)
    gradient = torch.autograd.grad(
        value, point.parameters, create_graph=build, materialize_grads=True
    )
    with torch.set_grad_enabled(build):
        stepped = start.optimizer.step(point.parameters, list(gradient), point.state)
    return _Point(*stepped)


def _pull_back(outputs: Tensors, inputs: Tensors, adjoint: Tensors) -> Tensors:
    pairs = [(out, a) for out, a in zip(outputs, adjoint, strict=True) if out.requires_grad]
    return list(
        torch.autograd.grad(
            [out for out, _ in pairs], inputs, [a for _, a in pairs], materialize_grads=True
        )
    )


def _leaves(tensors: Tensors) -> Tensors:
    return [tensor.detach().requires_grad_() for tensor in tensors]
