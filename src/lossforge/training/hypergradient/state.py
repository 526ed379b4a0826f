"""A user's model in training, as an online loss sees it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from lossforge.errors import DivergedError
from lossforge.losses.loss import Loss
from lossforge.models.calling import Inputs, call
from lossforge.training.hypergradient.clipping import (
    Clipping,
    ClippingByNorm,
    ClippingByValue,
    NoClipping,
)
from lossforge.training.hypergradient.jacobian import Gradients
from lossforge.training.hypergradient.response import OptimizerResponse
from lossforge.training.module import OutputSpec
from lossforge.training.optimizers import Tensors

Batch = tuple[Inputs, Tensor]
"""inputs and targets"""


@final
@dataclass(frozen=True)
class TrainState:
    """A model with its optimizer, and how its steps are taken.

    Attributes:
        model: to train; may be compiled or wrapped for data-parallel training.
        optimizer: of its parameters.
        response: of the optimizer.
        output: where the outputs are in what the model returns.
        clip_norm: greatest norm of a gradient; none where None.
        clip_value: greatest size of a gradient's numbers; none where None.
        precision: of autocast; none where None.
        scaler: of the loss, for half precision; none where None.
        group: of processes that train copies of the model together; by default that of a
            `DistributedDataParallel` model.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    response: OptimizerResponse
    output: OutputSpec = field(default_factory=OutputSpec)
    clip_norm: float | None = None
    clip_value: float | None = None
    precision: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None
    group: Any = None

    @property
    def module(self) -> nn.Module:
        """The model without the wrappers of data-parallel training."""
        module = self.model
        while isinstance(module, DistributedDataParallel | DataParallel):
            module = module.module
        return module

    @property
    def parameters(self) -> Tensors:
        """The parameters that the optimizer moves, in its order."""
        return self.response.parameters()

    def run(self, inputs: Inputs) -> Tensor:
        """Return the model's outputs [B, C, ...], as in plain training."""
        with self._autocast():
            returned = call(self.model, inputs)
        return self.output(returned)

    def rerun(self, inputs: Inputs) -> Tensor:
        """Return the outputs without what wrappers do besides."""
        with self._autocast():
            returned = call(self.module, inputs)
        return self.output(returned)

    def gradients(self) -> Gradients:
        """Return what the backward pass left at the parameters."""
        return [theta.grad for theta in self.parameters]

    @property
    def clips(self) -> bool:
        """Whether gradients are clipped."""
        return self.clip_norm is not None or self.clip_value is not None

    def clipping(self, gradients: Gradients) -> Clipping:
        """Return the clipping of gradients."""
        if self.clip_norm is not None:
            return ClippingByNorm(gradients, self.clip_norm)
        if self.clip_value is not None:
            return ClippingByValue(gradients, self.clip_value)
        return NoClipping(gradients)

    def set_gradients(self, gradients: Gradients) -> None:
        """Put gradients where the optimizer finds them."""
        for theta, g in zip(self.parameters, gradients, strict=True):
            theta.grad = g

    def clear_gradients(self) -> None:
        """Forget all gradients."""
        for theta in self.parameters:
            theta.grad = None

    def synchronized(self, *, last: bool) -> AbstractContextManager[Any]:
        """Inside the block, processes exchange gradients only for the last of several batches."""
        if isinstance(self.model, DistributedDataParallel) and not last:
            return self.model.no_sync()
        return nullcontext()

    @property
    def is_shared(self) -> bool:
        """Whether several processes train copies of the model together."""
        return self._group() is not None

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their mean over all processes."""
        group = self._group()
        if group is None:
            return
        world = torch.distributed.get_world_size(group)
        for tensor in tensors:
            torch.distributed.all_reduce(tensor, group=group)
            tensor.div_(world)

    def _group(self) -> Any:
        if self.group is None and isinstance(self.model, DistributedDataParallel):
            return self.model.process_group
        return self.group

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision is None:
            return nullcontext()
        return torch.autocast(self.parameters[0].device.type, self.precision)


def slope_of(loss: Loss, outputs: Tensor, targets: Tensor, *, build: bool) -> tuple[Tensor, Tensor]:
    """Return M and dM/df; the latter differentiable by M's parameters with `build`."""
    leaf = outputs.detach().requires_grad_()
    with torch.enable_grad():
        value = loss(leaf, targets)
        (slope,) = torch.autograd.grad(value, leaf, create_graph=build)
    return value.detach(), slope


class AttachedLoss(torch.autograd.Function):
    """A loss whose value and slope are known, as a function of the outputs alone.

    `on_backward` receives what its backward pass is given: a scale, a share of accumulated batches.
    """

    @staticmethod
    def forward(
        ctx: Any,
        outputs: Tensor,
        value: Tensor,
        slope: Tensor,
        on_backward: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        ctx.save_for_backward(slope)
        ctx.on_backward = on_backward
        return value.clone()

    @staticmethod
    def backward(ctx: Any, share: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        if ctx.on_backward is not None:
            ctx.on_backward(share)
        return (share * slope).to(slope.dtype), None, None, None


@contextmanager
def clean_gradients(state: TrainState) -> Iterator[None]:
    """Begin and end the block without gradients at the parameters."""
    state.clear_gradients()
    try:
        yield
    finally:
        state.clear_gradients()


def backward(state: TrainState, value: Tensor, batches: int, *, last: bool) -> None:
    """Run the backward pass of one of several batches whose losses are averaged."""
    share = value if batches == 1 else value / batches
    with state.synchronized(last=last):
        (share if state.scaler is None else state.scaler.scale(share)).backward()


def plain_step(state: TrainState, loss: Loss, batches: Sequence[Batch]) -> float:
    """Train for one step under a loss as it is.

    Args:
        state: what is trained.
        loss: under which.
        batches: one, or several whose losses are averaged.

    Returns:
        The loss.

    Raises:
        DivergedError: the loss is not finite; nothing was changed but the buffers.
    """
    total = 0.0
    with clean_gradients(state):
        for index, (inputs, targets) in enumerate(batches):
            last = index + 1 == len(batches)
            with state.synchronized(last=last):
                outputs = state.run(inputs)
            value, slope = slope_of(loss, outputs, targets, build=False)
            total += require_finite(value, "loss", "the network was not updated") / len(batches)
            backward(state, AttachedLoss.apply(outputs, value, slope), len(batches), last=last)  # type: ignore[no-untyped-call]
        unscale(state)
        if state.clips:
            state.set_gradients(state.clipping(state.gradients()).clipped)
        take_step(state)
    return total


def unscale(state: TrainState) -> None:
    """Undo the scaling of the loss in the gradients."""
    if state.scaler is not None:
        state.scaler.unscale_(state.optimizer)


def take_step(state: TrainState) -> None:
    """Let the user's optimizer take its step."""
    if state.scaler is None:
        state.optimizer.step()
    else:
        state.scaler.step(state.optimizer)
        state.scaler.update()


def require_finite(value: Tensor, what: str, consequence: str) -> float:
    """Return a loss as a number.

    Raises:
        DivergedError: it is not finite.
    """
    number = value.item()
    if number - number != 0:
        raise DivergedError(
            f"the {what} is {number:g}: look for NaN in the batch or lower the learning "
            f"rate; {consequence}"
        )
    return number
