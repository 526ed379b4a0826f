"""Transports that hold for every network: J w by forward mode, or by the reverse pass reversed."""

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lossforge.training.hypergradient.fast_tangents import FastTangents
from lossforge.training.hypergradient.transport import Outer, Start, Transport
from lossforge.training.optimizers import Tensors


class _Dense(Transport, ABC):
    """One loss after the other; gradients and stepped parameters are held in full."""

    def __init__(self, start: Start, inputs: Tensor):
        self._start = start
        self._inputs = inputs
        self._leaves = [theta.detach().requires_grad_() for theta in start.parameters]
        with torch.enable_grad():
            self._graph: Tensor | None = start.network(self._leaves, inputs)
        self.outputs = self._graph.detach()

    @final
    def __call__(self, cotangents: Tensor, inputs: Tensor, outer: Outer) -> Tensor:
        """Return J w for each of P losses, [P, B, C]."""
        last = len(cotangents) - 1
        return torch.stack(
            [self._one(c, inputs, outer, is_last=i == last) for i, c in enumerate(cotangents)]
        )

    def _one(self, cotangent: Tensor, inputs: Tensor, outer: Outer, *, is_last: bool) -> Tensor:
        start = self._start
        gradient = self._gradient(cotangent, is_last=is_last)
        direction = start.optimizer.sensitivity(start.parameters, gradient, start.state)
        leaves, _ = start.optimizer.step(start.parameters, gradient, start.state)
        del gradient
        arrived = _task_gradient(start, leaves, inputs, outer)
        del leaves
        return self._push([s * v for s, v in zip(direction, arrived, strict=True)])

    @abstractmethod
    def _gradient(self, cotangent: Tensor, *, is_last: bool) -> Tensors:
        """Return g = J^T c for a cotangent [B, C]."""

    @abstractmethod
    def _push(self, direction: Tensors) -> Tensor:
        """Return J w, [B, C], for a direction w in the parameters."""


@final
class ForwardTransport(_Dense):
    """J w by forward-mode differentiation: the memory of plain training, for one loss.

    The graph of the training pass is freed before the validation pass; the forward-mode pass runs
    the network again instead of keeping its activations.
    """

    def _gradient(self, cotangent: Tensor, *, is_last: bool) -> Tensors:
        assert self._graph is not None
        gradient = torch.autograd.grad(
            self._graph, self._leaves, cotangent, retain_graph=not is_last, materialize_grads=True
        )
        if is_last:
            self._graph = None
        return list(gradient)

    def _push(self, direction: Tensors) -> Tensor:
        network, theta = self._start.network, self._start.parameters
        with torch.no_grad(), forward_ad.dual_level(), FastTangents():
            pairs = zip(theta, map(network.arrange, direction), strict=True)
            duals = [forward_ad.make_dual(t, w) for t, w in pairs]
            tangent = forward_ad.unpack_dual(network(duals, self._inputs)).tangent
        return torch.zeros_like(self.outputs) if tangent is None else tangent


@final
class ReverseTransport(_Dense):
    """J w as the derivative of J^T c with respect to c, in which it is linear.

    It reuses the training pass and so needs no second one with the same dropout mask; operators
    need a backward pass that can itself be differentiated.
    """

    _linear: Tensors | None = None
    _at: Tensor

    def _gradient(self, cotangent: Tensor, *, is_last: bool) -> Tensors:
        assert self._graph is not None
        if self._linear is not None:
            return list(
                torch.autograd.grad(
                    self._graph,
                    self._leaves,
                    cotangent,
                    retain_graph=True,
                    materialize_grads=True,
                )
            )
        self._at = cotangent.detach().requires_grad_()
        self._linear = list(
            torch.autograd.grad(
                self._graph, self._leaves, self._at, create_graph=True, materialize_grads=True
            )
        )
        return [g.detach() for g in self._linear]

    def _push(self, direction: Tensors) -> Tensor:
        assert self._linear is not None
        pairs = [(g, w) for g, w in zip(self._linear, direction, strict=True) if g.requires_grad]
        (tangent,) = torch.autograd.grad(
            [g for g, _ in pairs], self._at, [w for _, w in pairs], retain_graph=True
        )
        return tangent


def _task_gradient(start: Start, leaves: Tensors, inputs: Tensor, outer: Outer) -> Tensors:
    """Return v, the task loss's gradient at the stepped parameters."""
    for theta in leaves:
        theta.requires_grad_()
    with torch.enable_grad():
        outputs = start.network(leaves, inputs)
    cotangent = outer(outputs.detach()[None])[0]
    return list(torch.autograd.grad(outputs, leaves, cotangent, materialize_grads=True))
