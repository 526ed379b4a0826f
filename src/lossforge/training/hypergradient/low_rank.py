"""J w by low-rank factors, for SGD on linear layers.

v of a linear layer's weight is delta^T a, with one row an example. SGD's response is a number, so
that w moves the layer's training output by (x a^T) delta: v and w are never built. Exact, without
a matrix of the weights' size beyond the weights themselves.

`LowRankPass` is one pass of any network; parameters that are not in linear layers are held in full.
`SteppedPopulation` has P losses step from one point: their stepped layers compute
shrink x W^T - gain (x a^T) delta, and their examples pass through wide products together.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from lossforge.training.hypergradient.jacobian import (
    Function,
    Gradients,
    gradients,
    transpose_again,
)
from lossforge.training.hypergradient.linear_layers import (
    LinearCall,
    LinearLayers,
    UnknownOperatorError,
)

CHUNK_ELEMENTS = 1 << 20
"""Losses are taken together while their widest activations fit this many numbers: a cache."""

Factors = tuple[Tensor, Tensor, int | None]
"""A layer's share of a gradient: inputs a [N, in], delta [N, out], and the bias's position."""


@final
@dataclass(frozen=True)
class LowRankGradient:
    """A gradient whose part in linear layers is given by low-rank factors.

    Attributes:
        factors: by the weight's position.
        of_call: by the ``id`` of the layer's call.
        others: gradients of the parameters that are in no linear layer.
    """

    factors: Mapping[int, Sequence[Factors]]
    of_call: Mapping[int, Factors]
    others: Gradients


@final
class LowRankPass:
    """One pass of a network and its gradients at the outputs of linear layers.

    Args:
        function: runs the network on the parameters that it is given.
        parameters: leaves of the graph.
        row_wise: refuse networks that do more than linear layers and elementwise functions.

    Attributes:
        outputs: of the network, detached.
        graph: the same with their graph.
        calls: of linear layers.
        others: positions of the parameters that are in no linear layer.
        products: delta of each layer and the gradient of each other parameter, as functions of the
            cotangent `at`.

    Raises:
        NotImplementedError: a linear layer's weight is used for something else as well.
    """

    def __init__(self, function: Function, parameters: Sequence[Tensor], *, row_wise: bool = False):
        with torch.enable_grad(), LinearLayers(parameters, row_wise=row_wise) as layers:
            self.graph = function(parameters)
        self._parameters = parameters
        self.outputs, self.calls, self.others = self.graph.detach(), layers.calls, layers.others()
        self.at = self.outputs
        self.products: Gradients = []

    def at_layers(self, cotangent: Tensor) -> list[Tensor]:
        """Return delta of each layer for one cotangent; prepares `product`."""
        self.at = cotangent.detach().requires_grad_()
        self.products = list(
            torch.autograd.grad(
                self.graph, self._places(), self.at, create_graph=True, allow_unused=True
            )
        )
        return [self._delta(call, g) for call, g in zip(self.calls, self.products, strict=False)]

    def transposed(self, cotangent: Tensor) -> Gradients:
        """Return J^T c for all parameters, in full; prepares `product`."""
        found: Gradients = [None] * len(self._parameters)
        for call, delta in zip(self.calls, self.at_layers(cotangent), strict=True):
            call.require_unchanged()
            rows = delta.flatten(0, -2)
            _accumulate(found, call.weight, rows.T @ call.inputs)
            if call.bias is not None:
                _accumulate(found, call.bias, rows.sum(0))
        for at, g in zip(self.others, self.products[len(self.calls) :], strict=True):
            found[at] = None if g is None else g.detach()
        return found

    def gradient(self, value: Tensor) -> "LowRankGradient":
        """Return a scalar's gradient."""
        return self._factored(gradients(value, self._places()))

    def gradient_along(self, cotangent: Tensor) -> "LowRankGradient":
        """Return the gradient of <outputs, cotangent>; the graph stays."""
        return self._factored(gradients(self.graph, self._places(), cotangent, retain_graph=True))

    def _factored(self, found: Gradients) -> "LowRankGradient":
        of_call: dict[int, Factors] = {}
        factors: dict[int, list[Factors]] = defaultdict(list)
        for call, delta in zip(self.calls, found, strict=False):
            call.require_unchanged()
            rows = self._delta(call, delta).flatten(0, -2)
            of_call[id(call)] = call.inputs, rows, call.bias
            factors[call.weight].append(of_call[id(call)])
        return LowRankGradient(factors, of_call, found[len(self.calls) :])

    def product(
        self,
        passed: "LowRankPass",
        found: "LowRankGradient",
        gains: Sequence[float],
        *,
        retain_graph: bool = False,
    ) -> Tensor:
        """Return J w, where w is gain times v.

        Args:
            passed: the pass whose gradient v is; it may have gone through other layers.
            found: v.
            gains: dU/dg of each parameter.
        """
        if {call.positions for call in passed.calls} == {call.positions for call in self.calls}:
            moved: Gradients = [
                _moved(call, found.factors[call.weight], gains) for call in self.calls
            ]
            rest = dict(zip(passed.others, found.others, strict=True))
        else:
            rest = dict(enumerate(passed.dense(found)))
            moved = [_moved_densely(call, rest, gains) for call in self.calls]
        others = [rest.get(at) for at in self.others]
        moved += [
            None if v is None else v.to_dense() * gains[at]
            for at, v in zip(self.others, others, strict=True)
        ]
        return transpose_again(self.products, self.at, moved, retain_graph=retain_graph)

    def dense(self, found: "LowRankGradient") -> Gradients:
        """Return a gradient in full."""
        full: Gradients = [None] * len(self._parameters)
        for call in self.calls:
            inputs, delta, _ = found.of_call[id(call)]
            _accumulate(full, call.weight, delta.T @ inputs)
            if call.bias is not None:
                _accumulate(full, call.bias, delta.sum(0))
        for at, g in zip(self.others, found.others, strict=True):
            full[at] = g
        return full

    def _places(self) -> list[Any]:
        edges = [call.edge for call in self.calls]
        return [*edges, *(self._parameters[at] for at in self.others)]

    def _delta(self, call: LinearCall, g: Tensor | None) -> Tensor:
        return self.outputs.new_zeros(call.shape) if g is None else g.detach()


def _moved(call: LinearCall, factors: Sequence[Factors], gains: Sequence[float]) -> Tensor:
    """Return how w moves a layer's output in the training pass, shaped like it."""
    total = call.inputs.new_zeros(len(call.inputs), call.shape[-1])
    gain = gains[call.weight]
    for inputs, delta, bias in factors:
        if len(call.inputs) * len(inputs) <= inputs.shape[1] * delta.shape[1]:
            total.addmm_(call.inputs @ inputs.T, delta, alpha=gain)
        else:
            total.addmm_(call.inputs, inputs.T @ delta, alpha=gain)
        if call.bias is not None and call.bias == bias:
            total.add_(delta.sum(0), alpha=gains[call.bias])
    return total.view(call.shape)


def _moved_densely(
    call: LinearCall, v: Mapping[int, Tensor | None], gains: Sequence[float]
) -> Tensor:
    """Return what `_moved` does, for a gradient in full."""
    total = call.inputs.new_zeros(len(call.inputs), call.shape[-1])
    weight, bias = v.get(call.weight), None if call.bias is None else v.get(call.bias)
    if weight is not None:
        total.addmm_(call.inputs, weight.T, alpha=gains[call.weight])
    if bias is not None and call.bias is not None:
        total.add_(bias, alpha=gains[call.bias])
    return total.view(call.shape)


def _accumulate(found: Gradients, at: int, share: Tensor) -> None:
    present = found[at]
    found[at] = share if present is None else present + share


def is_low_rank(function: Function, parameters: Sequence[Tensor]) -> bool:
    """Tell whether a network is made of linear layers and elementwise functions alone.

    Each parameter must be the weight or the bias of one linear layer that is used once.

    Args:
        function: runs the network on a batch, or a few rows of one.
        parameters: of the network.
    """
    leaves = [theta.detach().requires_grad_() for theta in parameters]
    try:
        single = LowRankPass(function, leaves, row_wise=True)
        single.at_layers(torch.ones_like(single.outputs))
    except (UnknownOperatorError, NotImplementedError, RuntimeError):
        return False
    if any(g is None for g in single.products):
        return False
    used = [position for call in single.calls for position in call.positions]
    return sorted(used) == list(range(len(leaves)))


@final
class SteppedPopulation:
    """P networks after one step of SGD from one point, each under its own loss.

    Args:
        training: the pass on the training batch, `row_wise`.
        base: parameters that all networks share; they must ask for gradients, so that what a
            layer gives stands in the graph.
        shrink: by which the step scales them.
        gain: dU/dg of the optimizer.
        cotangents: dM/df of each loss, [P, B, C].
    """

    def __init__(
        self,
        training: LowRankPass,
        base: Sequence[Tensor],
        shrink: float,
        gain: float,
        cotangents: Tensor,
    ):
        self._training, self._base, self._shrink, self._gain = training, base, shrink, gain
        first = training.at_layers(cotangents[0])
        self._deltas = (
            [delta[None] for delta in first]
            if len(cotangents) == 1
            else _for_each([training.graph], [call.edge for call in training.calls], [cotangents])
        )

    def products(self, function: Function, outer: Callable[[Tensor], Tensor]) -> Tensor:
        """Return J w for each of P losses, [P, B, C].

        Args:
            function: runs the network on the validation batch.
            outer: maps validation outputs [P, B, C] to the task losses' gradients at them.
        """
        widest = max(call.shape.numel() for call in self._training.calls)
        chunk = max(1, CHUNK_ELEMENTS // widest)
        found = []
        for some in zip(*(delta.split(chunk) for delta in self._deltas), strict=True):
            found += self._products(function, outer, some)
        return torch.cat(found).mul_(self._gain)

    def _products(
        self, function: Function, outer: Callable[[Tensor], Tensor], deltas: Sequence[Tensor]
    ) -> list[Tensor]:
        training = self._training
        inputs, arrived = self._validate(function, outer, deltas)
        traced = [_traced(*each) for each in zip(training.calls, inputs, arrived, strict=True)]
        return _for_each(training.products, [training.at], traced)

    def _validate(
        self, function: Function, outer: Callable[[Tensor], Tensor], deltas: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run validation inputs forward and the task losses' gradients back.

        Returns:
            each layer's inputs [P, B, in] (or [B, in] where all are the same) and gradients at its
            outputs [P, B, out].
        """
        inputs: list[Tensor] = []
        places: list[Any] = []
        count = len(deltas[0])

        def stepped(x: Tensor, position: int, weight: Tensor, bias: Tensor | None) -> Tensor:
            # The first layer sees the rows of all networks as one.
            call, delta = self._training.calls[len(places)], deltas[len(places)]
            assert call.weight == position, "the network runs its layers in changing order"
            apart = x.unflatten(0, (count, -1)) if places else x
            y: Tensor = _SteppedLinear.apply(  # type: ignore[no-untyped-call]
                apart, weight, bias, call.inputs, delta, self._shrink, self._gain
            )
            inputs.append(apart.detach())
            places.append(torch.autograd.graph.get_gradient_edge(y))
            return y

        with torch.enable_grad(), LinearLayers(self._base, stepped, row_wise=True):
            outputs = function(self._base)
        apart = outputs.detach().unflatten(0, (count, -1))
        cotangent = outer(apart).flatten(0, 1)
        arrived = torch.autograd.grad(outputs, places, cotangent)
        return inputs, [g.unflatten(0, (count, -1)) for g in arrived]


class _SteppedLinear(torch.autograd.Function):
    """P stepped layers: shrink (x W^T + b) - gain (x a^T + 1) delta; the 1 is the bias's step.

    Args:
        x: [P, B, in], or [B, in] that all layers see.
        weight: W, [out, in].
        bias: b, [out].
        inputs: a, [B', in].
        delta: [P, B', out].
        shrink: a number.
        gain: a number.

    Returns:
        [P * B, out], for the functions that come next.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        inputs: Tensor,
        delta: Tensor,
        shrink: float,
        gain: float,
    ) -> Tensor:
        ctx.save_for_backward(weight, inputs, delta)
        ctx.shrink, ctx.gain = shrink, gain
        overlap = x @ inputs.T
        if bias is not None:
            overlap += 1
        wide = F.linear(x, weight, bias)
        moved = torch.baddbmm(
            wide, overlap.expand(len(delta), -1, -1), delta, beta=shrink, alpha=-gain
        )
        # Not as a view: what comes next may be computed in place.
        flat: Tensor = torch.ops.aten._unsafe_view(moved, (-1, moved.shape[-1]))
        return flat

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if not ctx.needs_input_grad[0]:
            return (None,) * 7
        weight, inputs, delta = ctx.saved_tensors
        apart = gradient.unflatten(0, (len(delta), -1))
        overlap = (apart @ delta.mT).flatten(0, 1)
        wide = gradient @ weight
        of_x = torch.addmm(wide, overlap, inputs, beta=ctx.shrink, alpha=-ctx.gain)
        return of_x.view(*apart.shape[:2], -1), *(None,) * 6


def _traced(call: LinearCall, inputs: Tensor, arrived: Tensor) -> Tensor:
    """Return how the direction that an arrived gradient gives moves a layer's output, [P, B, out].

    Args:
        call: of the layer in the training pass.
        inputs: of the stepped layers, [P, B', in] or [B', in].
        arrived: gradients at the stepped layers' outputs, [P, B', out].
    """
    overlap = call.inputs @ inputs.mT
    if call.bias is not None:
        overlap += 1
    return overlap @ arrived


def _for_each(
    outputs: Sequence[Any], inputs: Sequence[Any], cotangents: Sequence[Tensor]
) -> list[Tensor]:
    """Return vector-Jacobian products for P cotangents at once; each [P, ...]."""
    if len(cotangents[0]) == 1:
        single = [c[0] for c in cotangents]
        found = torch.autograd.grad(outputs, inputs, single, retain_graph=True)
        return [g[None] for g in found]
    return list(
        torch.autograd.grad(outputs, inputs, cotangents, retain_graph=True, is_grads_batched=True)
    )
