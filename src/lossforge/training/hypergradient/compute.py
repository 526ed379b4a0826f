"""The hypergradient dT/dphi: how a loss's coefficients should move for better training.

theta takes K steps under the learned loss M on training batches, the task loss T is measured on a
validation batch, and T is differentiated with respect to M's coefficients phi. For K = 1,

    dT/dphi = -d/dphi <dM/df, J w>,

where f are the training outputs, J their Jacobian in theta, and w the validation gradient carried
back through the optimizer's step. The network is never differentiated twice; only the loss is, on
[B, C] numbers. Several losses that start from one network share what does not depend on the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, final, get_args

import torch
from torch import Tensor

from lossforge.errors import unknown_name
from lossforge.losses.loss import Loss
from lossforge.losses.population import LossPopulation
from lossforge.training.hypergradient.dense import ForwardTransport, ReverseTransport
from lossforge.training.hypergradient.low_rank import LowRankTransport
from lossforge.training.hypergradient.transport import Batch, Start, Transport
from lossforge.training.hypergradient.unrolled import recomputed, unrolled
from lossforge.validation import require

Strategy = Literal["low_rank", "forward", "reverse", "unroll", "recompute"]
"""How a hypergradient is computed; every strategy gives the same number."""

_TRANSPORTS: dict[str, type[Transport]] = {
    "low_rank": LowRankTransport,
    "forward": ForwardTransport,
    "reverse": ReverseTransport,
}


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
    if strategy in _TRANSPORTS:
        require(
            len(train) == 1,
            f"strategy {strategy} takes one inner step, not {len(train)}; use unroll or recompute",
        )
        return _one_step(_TRANSPORTS[strategy], start, losses, train[0], valid, task_loss)
    if strategy not in get_args(Strategy):
        raise unknown_name("hypergradient strategy", strategy, get_args(Strategy))
    run = unrolled if strategy == "unroll" else recomputed
    rows = [
        run(start, partial(losses.scalar, index), learned, train, valid, task_loss)
        for index, learned in enumerate(losses.coefficients)
    ]
    gradients, values = zip(*rows, strict=True)
    return Hypergradient(torch.stack(gradients), torch.stack(values))


def _one_step(
    transport_class: type[Transport],
    start: Start,
    losses: LossPopulation,
    train: Batch,
    valid: Batch,
    task_loss: Loss,
) -> Hypergradient:
    transport = transport_class(start, train[0])
    values = []

    def outer(outputs: Tensor) -> Tensor:
        value, slope = _task_slope(task_loss, outputs, valid[1])
        values.append(value)
        return slope

    tangent = transport(losses.slope(transport.outputs, train[1]), valid[0], outer)
    gradient = -losses.mixed(transport.outputs, train[1], tangent)
    return Hypergradient(gradient, torch.cat(values))


def _task_slope(task_loss: Loss, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return T [P] and dT/df [P, B, C] for outputs [P, B, C]."""
    count = len(outputs)
    leaf = outputs.detach().requires_grad_()
    repeated = targets.repeat(count, *[1] * (targets.dim() - 1))
    with torch.enable_grad():
        values = task_loss.per_example(leaf.flatten(0, 1), repeated).view(count, -1).mean(1)
        (slope,) = torch.autograd.grad(values.sum(), leaf)
    return values.detach(), slope
