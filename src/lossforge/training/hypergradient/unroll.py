"""Several inner steps, differentiated through the steps themselves.

Two ways give the same number: keep every step's graph, or keep the points between the steps and
run each step again on the way back, in the memory of one. Both serve a loss's coefficients
(`unrolled`, `recomputed`) and whatever else a step depends on (`Point`, `pull_back_through`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from lossforge.models.calling import Inputs
from lossforge.randomness import RandomState
from lossforge.training.module import differentiable
from lossforge.training.optimizers import State, Tensors

if TYPE_CHECKING:
    from lossforge.training.hypergradient.offline import Batch, Start

InnerLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Maps the loss's coefficients, the outputs and the targets to a scalar."""

TaskLoss = Callable[[Tensor, Tensor], Tensor]


@final
@dataclass(frozen=True)
class Point:
    """Where training stands: parameters and the optimizer's state."""

    parameters: Tensors
    state: State

    def tensors(self) -> Tensors:
        """Return everything that the next step depends on."""
        return self.parameters + [tensor for slot in self.state.slots for tensor in slot]

    def leaf(self) -> "Point":
        """Return the same numbers as leaves of a new graph."""
        slots = tuple(_leaves(slot) for slot in self.state.slots)
        return Point(_leaves(self.parameters), replace(self.state, slots=slots))


Step = Callable[[Point, bool], Point]
"""Maps a point to the next; differentiable where the second argument says so."""


def pull_back_through(
    steps: Sequence[Step], points: Sequence[Point], adjoint: Tensors, shared: Sequence[Tensor]
) -> tuple[Tensors, Tensors]:
    """Carry a gradient at the last point back to the first, running each step again.

    Args:
        steps: taken, in order.
        points: before each step, as leaves.
        adjoint: the gradient by everything after the last step.
        shared: what every step depends on besides its point.

    Returns:
        the gradient by everything at the first point, and by what is shared.
    """
    totals = [torch.zeros_like(tensor) for tensor in shared]
    for step, point in zip(reversed(steps), reversed(points), strict=True):
        following, before = step(point, True).tensors(), point.tensors()
        pairs = [(out, a) for out, a in zip(following, adjoint, strict=True) if out.requires_grad]
        found = torch.autograd.grad(
            [out for out, _ in pairs],
            [*before, *shared],
            [a for _, a in pairs],
            materialize_grads=True,
        )
        adjoint = list(found[: len(before)])
        for total, share in zip(totals, found[len(before) :], strict=True):
            total.add_(share)
    return adjoint, totals


def unrolled(
    start: "Start",
    loss: InnerLoss,
    coefficients: Tensor,
    train: Sequence["Batch"],
    valid: "Batch",
    task_loss: TaskLoss,
) -> tuple[Tensor, Tensor]:
    """Return dT/dphi [N] after one inner step a batch of `train`, and T.

    All steps are kept in memory until the last is taken.
    """
    learned = coefficients.detach().requires_grad_()
    point = Point(start.parameters, start.state).leaf()
    with differentiable():
        for batch in train:
            point = _inner_step(start, loss, learned, batch, point, build=True)
        value = task_loss(start.network(point.parameters, valid[0]), valid[1])
        (gradient,) = torch.autograd.grad(value, learned, materialize_grads=True)
    return gradient, value.detach()


def recomputed(
    start: "Start",
    loss: InnerLoss,
    coefficients: Tensor,
    train: Sequence["Batch"],
    valid: "Batch",
    task_loss: TaskLoss,
) -> tuple[Tensor, Tensor]:
    """Return what `unrolled` does, in the memory of one step: each is run again on the way back."""
    learned = coefficients.detach().requires_grad_()
    points = [Point(start.parameters, start.state).leaf()]
    steps: list[Step] = []
    with differentiable():
        for batch in train:
            steps.append(_repeatable(start, loss, learned, batch))
            points.append(_inner_step(start, loss, learned, batch, points[-1], build=False).leaf())
        last = points.pop()
        value = task_loss(start.network(last.parameters, valid[0]), valid[1])
        adjoint = list(torch.autograd.grad(value, last.tensors(), materialize_grads=True))
        _, (gradient,) = pull_back_through(steps, points, adjoint, [learned])
    return gradient, value.detach()


def _repeatable(start: "Start", loss: InnerLoss, learned: Tensor, batch: "Batch") -> Step:
    """Return a step that draws the same dropout masks as the one about to be taken."""
    randomness = RandomState()

    def step(point: Point, build: bool) -> Point:
        with randomness.replayed():
            return _inner_step(start, loss, learned, batch, point, build=build)

    return step


def _inner_step(
    start: "Start",
    loss: InnerLoss,
    learned: Tensor,
    batch: tuple[Inputs, Tensor],
    point: Point,
    *,
    build: bool,
) -> Point:
    """Take one optimizer step under the learned loss; differentiable with `build`."""
    inputs, targets = batch
    value = loss(learned, start.network(point.parameters, inputs), targets)
    gradient = torch.autograd.grad(
        value, point.parameters, create_graph=build, materialize_grads=True
    )
    with torch.set_grad_enabled(build):
        stepped = start.optimizer.step(point.parameters, list(gradient), point.state)
    return Point(*stepped)


def _leaves(tensors: Tensors) -> Tensors:
    return [tensor.detach().requires_grad_() for tensor in tensors]
