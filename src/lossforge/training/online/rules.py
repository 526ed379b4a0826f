"""Ways to carry the validation gradient back to the training outputs, for a user's own model."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lossforge.randomness import RandomState
from lossforge.training.hypergradient.fast_tangents import FastTangents
from lossforge.training.online.trainee import Inputs, Trainee
from lossforge.training.optimizers import Tensors

Response = Callable[[Tensors], Tensors]
"""Turns the validation gradient v into the direction w = dU/dg v."""


@final
@dataclass(frozen=True)
class Before:
    """The model as it was before the step.

    Attributes:
        parameters: copies, by name.
        buffers: copies, by name.
        randomness: from which dropout masks were drawn.
    """

    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    randomness: RandomState

    @classmethod
    def of(cls, trainee: Trainee) -> "Before":
        """Return the model as it is."""
        parameters = {name: theta.detach().clone() for name, theta in trainee.named().items()}
        return cls(parameters, trainee.buffers(), RandomState())


class Rule(ABC):
    """One step of training under a loss, and one way to compute J w for it.

    Attributes:
        outputs: f(theta) of the training batch, [B, C, ...], detached.
    """

    outputs: Tensor

    @abstractmethod
    def __init__(self, trainee: Trainee, before: Before, inputs: Inputs):
        """Run the model on the training batch."""

    @abstractmethod
    def gradient(self, cotangent: Tensor) -> Tensors:
        """Return g = J^T c for dM/df = c."""

    @abstractmethod
    def carry_back(
        self, inputs: Inputs, outcome: Callable[[Tensor], Tensor], response: Response
    ) -> tuple[Tensor, Tensor]:
        """Return T and J w, after the model took its step.

        Args:
            inputs: of the validation batch.
            outcome: T of the model's outputs.
            response: of the optimizer.
        """


class DenseRule(Rule, ABC):
    """A rule that holds v and w in full."""

    _trainee: Trainee

    @final
    def carry_back(
        self, inputs: Inputs, outcome: Callable[[Tensor], Tensor], response: Response
    ) -> tuple[Tensor, Tensor]:
        trainee = self._trainee
        value = outcome(trainee.outputs(trainee.named() | trainee.buffers(), inputs))
        arrived = gradients_or_zeros(value, trainee.named())
        return value.detach(), self._push(response(arrived))

    @abstractmethod
    def _push(self, direction: Tensors) -> Tensor:
        """Return J w for a direction w."""


@final
class ForwardRule(DenseRule):
    """J w by running the network once more, in forward mode, with the same dropout masks."""

    def __init__(self, trainee: Trainee, before: Before, inputs: Inputs):
        self._trainee, self._before, self._inputs = trainee, before, inputs
        self._graph: Tensor | None = trainee.outputs(None, inputs)
        self.outputs = self._graph.detach()

    def gradient(self, cotangent: Tensor) -> Tensors:
        assert self._graph is not None
        found = gradients_or_zeros(self._graph, self._trainee.named(), cotangent)
        self._graph = None
        return found

    def _push(self, direction: Tensors) -> Tensor:
        before = self._before
        with (
            torch.no_grad(),
            forward_ad.dual_level(),
            FastTangents(),
            before.randomness.replayed(),
        ):
            duals = {
                name: forward_ad.make_dual(theta, w)
                for (name, theta), w in zip(before.parameters.items(), direction, strict=True)
            }
            outputs = self._trainee.outputs(duals | before.buffers, self._inputs)
            tangent = forward_ad.unpack_dual(outputs).tangent
        return torch.zeros_like(self.outputs) if tangent is None else tangent


@final
class ReverseRule(DenseRule):
    """J w as the derivative of J^T c by c; the training pass is kept and run once."""

    def __init__(self, trainee: Trainee, before: Before, inputs: Inputs):
        self._trainee = trainee
        self._leaves = [theta.requires_grad_() for theta in before.parameters.values()]
        self._graph = trainee.outputs(before.parameters, inputs)
        self.outputs = self._graph.detach()

    def gradient(self, cotangent: Tensor) -> Tensors:
        self._at = cotangent.detach().requires_grad_()
        self._linear = torch.autograd.grad(
            self._graph, self._leaves, self._at, create_graph=True, materialize_grads=True
        )
        return [g.detach() for g in self._linear]

    def _push(self, direction: Tensors) -> Tensor:
        return derivative_along(self._linear, self._at, direction)


def derivative_along(linear: Sequence[Tensor], at: Tensor, weights: Tensors) -> Tensor:
    """Return d/dc sum <linear(c), weights>, for tensors that are linear in c."""
    pairs = [(g, w) for g, w in zip(linear, weights, strict=True) if g.requires_grad]
    (tangent,) = torch.autograd.grad([g for g, _ in pairs], at, [w for _, w in pairs])
    return tangent


def gradients_or_zeros(
    value: Tensor, named: Mapping[str, Tensor], cotangent: Tensor | None = None
) -> Tensors:
    """Return the gradient by each parameter, zeros for those that the value does not depend on."""
    return list(torch.autograd.grad(value, list(named.values()), cotangent, materialize_grads=True))
