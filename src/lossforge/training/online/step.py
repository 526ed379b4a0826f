"""One step of training that also tells how the loss should change, for a user's own loop.

The user's model and optimizer are used as they are. With theta' = theta - U(g), g = J^T dM/df, and
v the task loss's gradient at theta', the hypergradient is -d/dphi <dM/df, J w> for w = dU/dg v: the
derivative of the very step that was taken, with the momentum that the optimizer really has.

Source: thesis, ch. 6; see `lossforge.training.hypergradient.compute` for the rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from lossforge.errors import ConfigurationError, DivergedError
from lossforge.losses.loss import Loss
from lossforge.training.online.clipping import Clipping
from lossforge.training.online.rules import (
    Before,
    ForwardRule,
    ReverseRule,
    Rule,
    gradients_or_zeros,
)
from lossforge.training.online.thin import ThinRule
from lossforge.training.online.trainee import Inputs, Trainee
from lossforge.training.optimizers import Tensors

OnlineStrategy = Literal["thin", "forward", "reverse"]
"""How a validation gradient is carried back; every strategy gives the same number."""

RULES: dict[OnlineStrategy, type[Rule]] = {
    "thin": ThinRule,
    "forward": ForwardRule,
    "reverse": ReverseRule,
}


@final
@dataclass(frozen=True)
class OnlineStep:
    """What a step measured.

    Attributes:
        loss: M on the training batch, before the step.
        task_loss: T on the validation batch, after it; None where the loss was not updated.
        hypergradient: dT/dphi, a tensor a parameter of M; None likewise.
    """

    loss: float
    task_loss: float | None
    hypergradient: Tensors | None


def plain_step(trainee: Trainee, loss: Loss, inputs: Inputs, targets: Tensor) -> OnlineStep:
    """Train for one step under the loss as it is.

    Raises:
        DivergedError: the loss is not finite; nothing was changed but the buffers.
    """
    value = loss(trainee.outputs(None, inputs), targets)
    _require_finite(value, "loss", "the network was not updated")
    gradients = gradients_or_zeros(value, trainee.named())
    trainee.descend(Clipping(gradients, trainee.clip_norm).clipped)
    return OnlineStep(value.item(), None, None)


def online_step(
    trainee: Trainee,
    loss: Loss,
    train: tuple[Inputs, Tensor],
    valid: tuple[Inputs, Tensor],
    task_loss: Loss,
    strategy: OnlineStrategy,
) -> OnlineStep:
    """Train for one step under the loss, and differentiate the task loss after it by the loss.

    Args:
        trainee: what is trained; its parameters, buffers and optimizer change as in plain training.
        loss: M; its parameters must ask for gradients.
        train: inputs and targets of the training batch.
        valid: inputs and targets of the validation batch.
        task_loss: T.
        strategy: see `choose_online_strategy`.

    Raises:
        DivergedError: M or T is not finite; the message says what was changed.
    """
    rule = RULES[strategy](trainee, Before.of(trainee), train[0])
    value, cotangent = _slope(loss, rule.outputs, train[1])
    _require_finite(value, "loss", "the network was not updated")
    clipping = Clipping(rule.gradient(cotangent.detach()), trainee.clip_norm)
    slopes = trainee.mirror.sensitivity(clipping.clipped)
    trainee.descend(clipping.clipped)
    if trainee.clip_norm is None:
        clipping.clipped = []  # frees a copy of the parameters' size

    def response(arrived: Tensors) -> Tensors:
        return clipping.pull_back([v * s for v, s in zip(arrived, slopes, strict=True)])

    def outcome(outputs: Tensor) -> Tensor:
        found: Tensor = task_loss(outputs, valid[1])
        _require_finite(found, "task loss on the validation batch", "the loss was not updated")
        return found

    reached, tangent = rule.carry_back(valid[0], outcome, response)
    learned = list(loss.parameters())
    found = torch.autograd.grad(cotangent, learned, -tangent, materialize_grads=True)
    return OnlineStep(value.item(), reached.item(), list(found))


def choose_online_strategy(
    candidates: Sequence[OnlineStrategy], trainee: Trainee, inputs: Inputs
) -> OnlineStrategy:
    """Return the first strategy that the model supports; the model stays as it was.

    Raises:
        ConfigurationError: it supports none.
    """
    failures = []
    for strategy in candidates:
        before = Before.of(trainee)
        try:
            with before.randomness.replayed():
                rule = RULES[strategy](trainee, before, inputs)
                rule.gradient(torch.ones_like(rule.outputs))
                rule.carry_back(inputs, torch.sum, list)
            return strategy
        except (RuntimeError, NotImplementedError) as error:
            failures.append(f"{strategy} ({str(error).splitlines()[0]})")
        finally:
            for name, buffer in trainee.model.named_buffers():
                buffer.copy_(before.buffers[name])
    raise ConfigurationError(
        f"the model supports no way of differentiating its outputs: {'; '.join(failures)}; "
        "replace the operator named"
    )


def _slope(loss: Loss, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return M and dM/df, which is differentiable by M's parameters."""
    leaf = outputs.detach().requires_grad_()
    value = loss(leaf, targets)
    (cotangent,) = torch.autograd.grad(value, leaf, create_graph=True)
    return value, cotangent


def _require_finite(value: Tensor, what: str, consequence: str) -> None:
    if not bool(value.isfinite()):
        raise DivergedError(
            f"the {what} is {value.item():g}: look for NaN in the batch or lower the learning "
            f"rate; {consequence}"
        )
