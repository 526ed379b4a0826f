"""One step of training that also tells how the loss should change, for a user's own loop.

The user's model and optimizer are used as they are. With theta' = theta - U(g), g = J^T dM/df, and
v the task loss's gradient at theta', the hypergradient is -d/dphi <dM/df, J w> for w = dU/dg v: the
derivative of the very step that was taken, with the momentum that the optimizer really has.

Source: thesis, ch. 6; see `lossforge.training.hypergradient.compute` for the rule.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call

from lossforge.errors import ConfigurationError, DataError
from lossforge.losses.loss import Loss
from lossforge.randomness import RandomState
from lossforge.training.hypergradient.fast_tangents import FastTangents
from lossforge.training.mirror import Mirror
from lossforge.training.optimizers import Tensors

OnlineStrategy = Literal["forward", "reverse"]

Inputs = Tensor | Sequence[Any] | Mapping[str, Any]
"""What the model is called with: one tensor, positional or named arguments."""


@final
@dataclass(frozen=True)
class Trainee:
    """A model with its optimizer, and how they are run.

    Attributes:
        model: to train.
        optimizer: of its parameters.
        mirror: of the optimizer.
        strategy: how J w is computed.
        clip_norm: greatest norm of a gradient; none where None.
        precision: of autocast; none where None.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    mirror: Mirror
    strategy: OnlineStrategy
    clip_norm: float | None = None
    precision: torch.dtype | None = None

    def named(self) -> dict[str, nn.Parameter]:
        """Return the parameters that the optimizer moves, in its order, by their names."""
        names = {id(theta): name for name, theta in self.model.named_parameters()}
        return {names[id(theta)]: theta for theta in self.mirror.parameters()}  # type: ignore[misc]

    def outputs(self, parameters: Mapping[str, Tensor] | None, inputs: Inputs) -> Tensor:
        """Run the model, with other parameters or buffers than its own if there are any."""
        args, kwargs = _arguments(inputs)
        with self._autocast():
            if parameters is None:
                found = self.model(*args, **kwargs)
            else:
                found = functional_call(self.model, dict(parameters), args, kwargs)
        logits = found["logits"] if isinstance(found, Mapping) else found
        assert isinstance(logits, Tensor)
        return logits

    def buffers(self) -> dict[str, Tensor]:
        """Return copies of the model's buffers."""
        return {name: buffer.clone() for name, buffer in self.model.named_buffers()}

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision is None:
            return nullcontext()
        device = next(self.model.parameters()).device.type
        return torch.autocast(device, self.precision)


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
        DataError: the loss is not finite; nothing was changed but the buffers.
    """
    outputs = trainee.outputs(None, inputs)
    value = loss(outputs, targets)
    _require_finite(value, "loss", "the network was not updated")
    named = trainee.named()
    gradients = torch.autograd.grad(value, list(named.values()), allow_unused=True)
    clipped, _ = _clipped(_zeros_for_none(gradients, named), trainee.clip_norm)
    _descend(trainee, clipped)
    return OnlineStep(value.item(), None, None)


def online_step(
    trainee: Trainee,
    loss: Loss,
    train: tuple[Inputs, Tensor],
    valid: tuple[Inputs, Tensor],
    task_loss: Loss,
) -> OnlineStep:
    """Train for one step under the loss, and differentiate the task loss after it by the loss.

    Args:
        trainee: what is trained; its parameters, buffers and optimizer change as in plain training.
        loss: M; its parameters must ask for gradients.
        train: inputs and targets of the training batch.
        valid: inputs and targets of the validation batch.
        task_loss: T.

    Raises:
        DataError: M or T is not finite; the message says what was changed.
    """
    named = trainee.named()
    old = {name: theta.detach().clone() for name, theta in named.items()}
    buffers, randomness = trainee.buffers(), RandomState()
    rule = _RULES[trainee.strategy](trainee, old, buffers, randomness, train[0])
    value, cotangent = _slope(loss, rule.outputs, train[1])
    _require_finite(value, "loss", "the network was not updated")
    gradients, scale = _clipped(rule.gradient(cotangent.detach()), trainee.clip_norm)
    slopes = trainee.mirror.sensitivity(gradients)
    _descend(trainee, gradients)
    after = dict(trainee.named()) | trainee.buffers()
    outcome = task_loss(trainee.outputs(after, valid[0]), valid[1])
    _require_finite(outcome, "task loss on the validation batch", "the loss was not updated")
    arrived = torch.autograd.grad(outcome, list(named.values()), allow_unused=True)
    direction = [v.mul(s) for v, s in zip(_zeros_for_none(arrived, named), slopes, strict=True)]
    tangent = rule.push(_unclipped(direction, gradients, scale, trainee.clip_norm))
    learned = list(loss.parameters())
    found = torch.autograd.grad(cotangent, learned, -tangent, materialize_grads=True)
    return OnlineStep(value.item(), outcome.item(), list(found))


def choose_online_strategy(candidates: Mapping[OnlineStrategy, Trainee], inputs: Inputs) -> Trainee:
    """Return the first trainee whose strategy its model supports; buffers stay as they were.

    Raises:
        ConfigurationError: the model supports none.
    """
    failures = []
    for strategy, trainee in candidates.items():
        buffers, randomness = trainee.buffers(), RandomState()
        old = {name: theta.detach().clone() for name, theta in trainee.named().items()}
        try:
            with randomness.replayed():
                rule = _RULES[strategy](trainee, old, buffers, randomness, inputs)
                rule.push(rule.gradient(torch.ones_like(rule.outputs)))
            return trainee
        except (RuntimeError, NotImplementedError) as error:
            failures.append(f"{strategy} ({str(error).splitlines()[0]})")
        finally:
            for name, buffer in trainee.model.named_buffers():
                buffer.copy_(buffers[name])
    raise ConfigurationError(
        f"the model supports no way of differentiating its outputs: {'; '.join(failures)}; "
        "replace the operator named"
    )


@final
class _Forward:
    """J w by running the network once more, in forward mode, with the same dropout masks."""

    def __init__(
        self,
        trainee: Trainee,
        old: dict[str, Tensor],
        buffers: dict[str, Tensor],
        randomness: RandomState,
        inputs: Inputs,
    ):
        self._trainee, self._old, self._buffers = trainee, old, buffers
        self._randomness, self._inputs = randomness, inputs
        self._graph: Tensor | None = trainee.outputs(None, inputs)
        self.outputs = self._graph.detach()

    def gradient(self, cotangent: Tensor) -> Tensors:
        assert self._graph is not None
        named = self._trainee.named()
        found = torch.autograd.grad(self._graph, list(named.values()), cotangent, allow_unused=True)
        self._graph = None
        return _zeros_for_none(found, named)

    def push(self, direction: Tensors) -> Tensor:
        with (
            torch.no_grad(),
            forward_ad.dual_level(),
            FastTangents(),
            self._randomness.replayed(),
        ):
            duals = {
                name: forward_ad.make_dual(theta, w)
                for (name, theta), w in zip(self._old.items(), direction, strict=True)
            }
            outputs = self._trainee.outputs(duals | self._buffers, self._inputs)
            tangent = forward_ad.unpack_dual(outputs).tangent
        return torch.zeros_like(self.outputs) if tangent is None else tangent


@final
class _Reverse:
    """J w as the derivative of J^T c by c; the training pass is kept and run once."""

    def __init__(
        self,
        trainee: Trainee,
        old: dict[str, Tensor],
        buffers: dict[str, Tensor],
        randomness: RandomState,
        inputs: Inputs,
    ):
        self._leaves = [theta.requires_grad_() for theta in old.values()]
        with torch.enable_grad():
            self._graph = trainee.outputs(old, inputs)
        self.outputs = self._graph.detach()

    def gradient(self, cotangent: Tensor) -> Tensors:
        self._at = cotangent.detach().requires_grad_()
        self._linear = torch.autograd.grad(
            self._graph, self._leaves, self._at, create_graph=True, materialize_grads=True
        )
        return [g.detach() for g in self._linear]

    def push(self, direction: Tensors) -> Tensor:
        pairs = [(g, w) for g, w in zip(self._linear, direction, strict=True) if g.requires_grad]
        (tangent,) = torch.autograd.grad([g for g, _ in pairs], self._at, [w for _, w in pairs])
        return tangent


_RULES: dict[OnlineStrategy, Callable[..., Any]] = {"forward": _Forward, "reverse": _Reverse}


def _slope(loss: Loss, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return M and dM/df, which is differentiable by M's parameters."""
    leaf = outputs.detach().requires_grad_()
    value = loss(leaf, targets)
    (cotangent,) = torch.autograd.grad(value, leaf, create_graph=True)
    return value, cotangent


def _descend(trainee: Trainee, gradients: Tensors) -> None:
    """Let the user's optimizer take its step."""
    parameters = trainee.mirror.parameters()
    for theta, g in zip(parameters, gradients, strict=True):
        theta.grad = g
    trainee.optimizer.step()
    for theta in parameters:
        theta.grad = None


def _clipped(gradients: Tensors, limit: float | None) -> tuple[Tensors, Tensor | None]:
    """Return gradients of at most a norm, and by what they were scaled; None for no limit."""
    if limit is None:
        return gradients, None
    norm = torch.nn.utils.get_total_norm(gradients)
    scale = (limit / (norm + 1e-6)).clamp(max=1.0)
    return [g * scale for g in gradients], scale


def _unclipped(
    direction: Tensors, clipped: Tensors, scale: Tensor | None, limit: float | None
) -> Tensors:
    """Carry a direction back through clipping, g -> limit g / (|g| + 1e-6) where |g| > limit."""
    if scale is None or limit is None:
        return direction
    norm = torch.nn.utils.get_total_norm(clipped)
    inner = sum((w * g).sum() for w, g in zip(direction, clipped, strict=True))
    along = torch.where(scale < 1, inner / (norm * limit), 0)
    return [scale * (w - along * g) for w, g in zip(direction, clipped, strict=True)]


def _zeros_for_none(found: Sequence[Tensor | None], named: Mapping[str, Tensor]) -> Tensors:
    pairs = zip(found, named.values(), strict=True)
    return [torch.zeros_like(theta) if g is None else g for g, theta in pairs]


def _require_finite(value: Tensor, what: str, consequence: str) -> None:
    if not bool(value.isfinite()):
        raise DataError(
            f"the {what} is {value.item():g}: look for NaN in the batch or lower the learning "
            f"rate; {consequence}"
        )


def _arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return ((inputs,) if isinstance(inputs, Tensor) else tuple(inputs)), {}
