"""The hypergradient dT/dphi: how a loss's coefficients should move for better training.

theta takes K steps under the learned loss M on training batches, the task loss T is measured on a
validation batch, and T is differentiated with respect to M's coefficients phi. For K = 1, with
g = J^T dM/df, theta' = theta - U(g) and v = dT/dtheta',

    dT/dphi = -d/dphi <dM/df, J w>,   w = dU/dg v,

where f are the training outputs and J their Jacobian in theta. The network is never differentiated
twice; only the loss is, on [B, C] numbers. Several losses that start from one network share what
does not depend on the loss.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, final, get_args

import torch
from torch import Tensor

from lossforge.errors import unknown_name
from lossforge.losses.loss import Loss
from lossforge.losses.population import LossPopulation
from lossforge.models.calling import Inputs
from lossforge.randomness import RandomState
from lossforge.training.hypergradient.jacobian import (
    Function,
    ReverseProducts,
    forward_product,
    gradients,
)
from lossforge.training.hypergradient.low_rank import LowRankPass, SteppedPopulation
from lossforge.training.hypergradient.unroll import recomputed, unrolled
from lossforge.training.module import differentiable
from lossforge.training.network import Network
from lossforge.training.optimizers import SGD, Optimizer, State, Tensors
from lossforge.validation import require

Batch = tuple[Inputs, Tensor]
"""inputs [B, ...] and targets [B, ...] or [B, C, ...]"""

Outer = Callable[[Tensor], Tensor]
"""Maps validation outputs [P, B, C, ...] to the task losses' gradients with respect to them."""

Strategy = Literal["low_rank", "forward", "reverse", "unroll", "recompute"]
"""How a hypergradient is computed; every strategy gives the same number."""


@final
@dataclass(frozen=True)
class Start:
    """Where a step begins: a network, its parameters, its optimizer and that optimizer's state."""

    network: Network
    parameters: Tensors
    optimizer: Optimizer
    state: State


@final
@dataclass(frozen=True)
class Hypergradient:
    """The result for P losses.

    Attributes:
        gradient: dT/dphi, [P, N], zero in the padding.
        task_loss: T after the inner steps, [P].
    """

    gradient: Tensor
    task_loss: Tensor


def hypergradient(
    start: Start,
    losses: LossPopulation,
    train: Sequence[Batch],
    valid: Batch,
    task_loss: Loss,
    strategy: Strategy,
) -> Hypergradient:
    """Differentiate the validation loss after K = len(train) inner steps with respect to phi.

    Args:
        start: the network, its parameters and its optimizer; shared by all losses.
        losses: P learned losses.
        train: one batch an inner step.
        valid: the batch on which the task loss is measured.
        task_loss: T.
        strategy: see `choose_strategy`.

    Raises:
        ConfigurationError: where the strategy cannot do what is asked.

    Source: thesis, ch. 4, Eq. (4.11) ff.; Bechtle et al. 2021.
    """
    require(len(train) > 0, "a hypergradient needs at least one inner step")
    if strategy not in get_args(Strategy):
        raise unknown_name("hypergradient strategy", strategy, get_args(Strategy))
    if strategy in ("unroll", "recompute"):
        run = unrolled if strategy == "unroll" else recomputed
        rows = [
            run(start, partial(losses.scalar, index), learned, train, valid, task_loss)
            for index, learned in enumerate(losses.coefficients)
        ]
        found, values = zip(*rows, strict=True)
        return Hypergradient(torch.stack(found), torch.stack(values))
    require(
        len(train) == 1,
        f"strategy {strategy} takes one inner step, not {len(train)}; use unroll or recompute",
    )
    return _one_step(start, losses, train[0], valid, task_loss, strategy)


def _one_step(
    start: Start,
    losses: LossPopulation,
    train: Batch,
    valid: Batch,
    task_loss: Loss,
    strategy: Strategy,
) -> Hypergradient:
    values = []

    def outer(outputs: Tensor) -> Tensor:
        value, slope = _task_slope(task_loss, outputs, valid[1])
        values.append(value)
        return slope

    with differentiable():
        taken = _STEPS[strategy](start, train[0])
        slopes = losses.slope(taken.outputs, train[1])
        tangent = taken.products(slopes, valid[0], outer)
    gradient = -losses.mixed(taken.outputs, train[1], tangent)
    return Hypergradient(gradient, torch.cat(values))


class OneStep(ABC):
    """One optimizer step from one start, under P losses; one loss after the other.

    Attributes:
        outputs: f(theta, inputs), [B, C, ...], detached.
    """

    def __init__(self, start: Start, inputs: Inputs):
        self.start, self._inputs, self._randomness = start, inputs, RandomState()
        self.leaves = [theta.detach().requires_grad_() for theta in start.parameters]
        with torch.enable_grad():
            self.graph: Tensor | None = start.network(self.leaves, inputs)
        self.outputs = self.graph.detach()

    def products(self, cotangents: Tensor, inputs: Inputs, outer: Outer) -> Tensor:
        """Return J w for each of P losses, [P, B, C, ...].

        Args:
            cotangents: dM/df of each loss at `outputs`, [P, B, C, ...].
            inputs: of the validation batch.
            outer: gives the task losses' gradients at the validation outputs.
        """
        last = len(cotangents) - 1
        return torch.stack(
            [self._one(c, inputs, outer, is_last=i == last) for i, c in enumerate(cotangents)]
        )

    def _one(self, cotangent: Tensor, inputs: Inputs, outer: Outer, *, is_last: bool) -> Tensor:
        start = self.start
        gradient = _or_zeros(self.transposed(cotangent, is_last=is_last), self.leaves)
        response = start.optimizer.sensitivity(start.parameters, gradient, start.state)
        leaves, _ = start.optimizer.step(start.parameters, gradient, start.state)
        del gradient
        arrived = _task_gradient(start, leaves, inputs, outer)
        del leaves
        return self.product([s * v for s, v in zip(response, arrived, strict=True)])

    @abstractmethod
    def transposed(self, cotangent: Tensor, *, is_last: bool) -> list[Tensor | None]:
        """Return J^T c for a cotangent [B, C, ...]."""

    @abstractmethod
    def product(self, direction: Tensors) -> Tensor:
        """Return J w, [B, C, ...], for a direction w in the parameters."""


@final
class ForwardStep(OneStep):
    """J w by forward-mode differentiation: the memory of plain training, for one loss.

    The graph of the training pass is freed before the validation pass; the forward-mode pass runs
    the network again, with the same dropout masks, instead of keeping its activations.
    """

    def transposed(self, cotangent: Tensor, *, is_last: bool) -> list[Tensor | None]:
        assert self.graph is not None
        found = gradients(self.graph, self.leaves, cotangent, retain_graph=not is_last)
        if is_last:
            self.graph = None
        return found

    def product(self, direction: Tensors) -> Tensor:
        network = self.start.network
        arranged = [network.arrange(w) for w in direction]
        with self._randomness.replayed():
            function: Function = partial(_run, network, self._inputs)
            _, tangent = forward_product(function, self.start.parameters, arranged)
        return tangent


@final
class ReverseStep(OneStep):
    """J w as the derivative of J^T c with respect to c; the training pass is run once."""

    def __init__(self, start: Start, inputs: Inputs):
        super().__init__(start, inputs)
        assert self.graph is not None
        self._products = ReverseProducts(self.graph, self.leaves)

    def transposed(self, cotangent: Tensor, *, is_last: bool) -> list[Tensor | None]:
        return self._products.transposed(cotangent)

    def product(self, direction: Tensors) -> Tensor:
        return self._products.product(direction, retain_graph=True)


@final
class LowRankStep:
    """J w by low-rank factors, for SGD and networks that `is_low_rank` accepts."""

    def __init__(self, start: Start, inputs: Inputs):
        self._start, self._network = start, start.network
        leaves = [theta.detach().requires_grad_() for theta in start.parameters]
        self._thin = LowRankPass(partial(_run, self._network, inputs), leaves, row_wise=True)
        self.outputs = self._thin.outputs

    def products(self, cotangents: Tensor, inputs: Inputs, outer: Outer) -> Tensor:
        """Return J w for each of P losses, [P, B, C]."""
        optimizer = self._start.optimizer
        assert isinstance(optimizer, SGD)
        base, shrink = _drifted(self._start, optimizer)
        stepped = SteppedPopulation(self._thin, base, shrink, optimizer.gain, cotangents)
        return stepped.products(partial(_run, self._network, inputs), outer)


_STEPS: dict[str, type[LowRankStep | ForwardStep | ReverseStep]] = {
    "low_rank": LowRankStep,
    "forward": ForwardStep,
    "reverse": ReverseStep,
}


def _run(network: Network, inputs: Inputs, parameters: Sequence[Tensor]) -> Tensor:
    return network(parameters, inputs)


def _drifted(start: Start, optimizer: SGD) -> tuple[Tensors, float]:
    """Return parameters and a factor: the step under a zero gradient gives their product."""
    parameters = [theta.detach() for theta in start.parameters]
    shrink = 1 - optimizer.gain * optimizer.weight_decay
    if start.state.step:
        zeros = [torch.zeros_like(theta) for theta in parameters]
        parameters, _ = optimizer.step(parameters, zeros, start.state)
        shrink = 1.0
    return [theta.requires_grad_() for theta in parameters], shrink


def _task_gradient(start: Start, leaves: Tensors, inputs: Inputs, outer: Outer) -> Tensors:
    """Return v, the task loss's gradient at the stepped parameters."""
    for theta in leaves:
        theta.requires_grad_()
    with torch.enable_grad():
        outputs = start.network(leaves, inputs)
    cotangent = outer(outputs.detach()[None])[0]
    return _or_zeros(gradients(outputs, leaves, cotangent), leaves)


def _task_slope(task_loss: Loss, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return T [P] and dT/df [P, B, C, ...] for outputs [P, B, C, ...]."""
    leaf, count = outputs.detach().requires_grad_(), len(outputs)
    if not task_loss.is_separable or task_loss.weight is not None:
        with torch.enable_grad():
            means = torch.stack([task_loss(one, targets) for one in leaf])
            (slope,) = torch.autograd.grad(means.sum(), leaf)
        return means.detach(), slope
    with torch.enable_grad():
        rows = task_loss.kind.rows(leaf, targets)
        repeated = rows.targets.repeat(count, *[1] * (rows.targets.dim() - 1))
        values = task_loss.per_row(rows.outputs.flatten(0, 1), repeated)
        means = rows.mean(values.unflatten(0, (count, -1)))
        (slope,) = torch.autograd.grad(means.sum(), leaf)
    return means.detach(), slope


def _or_zeros(found: Sequence[Tensor | None], like: Sequence[Tensor]) -> Tensors:
    pairs = zip(found, like, strict=True)
    return [torch.zeros_like(theta) if g is None else g for g, theta in pairs]
