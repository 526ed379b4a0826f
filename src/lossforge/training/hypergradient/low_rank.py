"""The transport for networks whose parameters all stand in linear layers.

The gradient of a linear layer's weight is a product of two thin matrices, delta^T a, with one row
an example. A step of SGD then needs no dense gradient: the stepped layer computes
x W^T - gain (x a^T) delta, and J w is built from the same thin factors. Exact, without a matrix of
the weights' size beyond the weights themselves; and for P losses that start at one point, the wide
products are shared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from lossforge.training.hypergradient.transport import Outer, Start, Transport
from lossforge.training.network import Network
from lossforge.training.optimizers import SGD, Tensors

CHUNK_ELEMENTS = 1 << 20
"""Losses are taken together while their widest activations fit this many numbers: a cache."""

LinearRule = Callable[[int, Tensor, Tensor, Tensor | None], Tensor]
"""Computes a layer from its weight's position, its input [B, in], weight [out, in], bias [out]."""


@final
@dataclass(frozen=True)
class _Layer:
    """One linear layer in the training pass.

    Attributes:
        weight: position among the parameters.
        bias: position among the parameters, if there is one.
        inputs: a, [B, in].
        node: the layer's output [B, out], in the graph of the training pass.
    """

    weight: int
    bias: int | None
    inputs: Tensor
    node: Tensor


@final
class LowRankTransport(Transport):
    """J w through thin factors, for SGD and networks that `is_low_rank` accepts."""

    def __init__(self, start: Start, inputs: Tensor):
        assert isinstance(start.optimizer, SGD)
        self._start, self._gain = start, start.optimizer.gain
        self._layers: list[_Layer] = []
        parameters = [theta.detach() for theta in start.parameters]

        def record(position: int, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            y = F.linear(x, weight, bias)
            node = y if y.requires_grad else y.requires_grad_()
            at = next((i for i, theta in enumerate(parameters) if theta is bias), None)
            self._layers.append(_Layer(position, at, x.detach(), node))
            return node

        with torch.enable_grad(), _LinearLayers(parameters, record):
            self._graph = start.network(parameters, inputs)
        self.outputs = self._graph.detach()

    def __call__(self, cotangents: Tensor, inputs: Tensor, outer: Outer) -> Tensor:
        """Return J w for each of P losses, [P, B, C]."""
        nodes = [layer.node for layer in self._layers]
        # The backward pass as a function of its cotangent, in which it is linear: one serves all.
        at = cotangents[0].detach().requires_grad_()
        backward = list(torch.autograd.grad(self._graph, nodes, at, create_graph=True))
        if len(cotangents) == 1:
            deltas = [delta.detach()[None] for delta in backward]
        else:
            deltas = _gradients([self._graph], nodes, [cotangents])
        chunk = max(1, CHUNK_ELEMENTS // max(node.numel() for node in nodes))
        base = _drifted(self._start)
        tangents = []
        for some in zip(*(delta.split(chunk) for delta in deltas), strict=True):
            traced = self._trace(base, list(some), inputs, outer)
            tangents += _gradients(backward, [at], traced)
        return torch.cat(tangents)

    def _trace(self, base: Tensors, deltas: Tensors, inputs: Tensor, outer: Outer) -> Tensors:
        """Return how w moves the output of each layer by itself, [P, B, out]."""
        thin, arrived = self._validate(base, deltas, inputs, outer)
        layers = zip(self._layers, thin, arrived, strict=True)
        return [self._moved(layer, x, v) for layer, x, v in layers]

    def _moved(self, layer: _Layer, x: Tensor, v: Tensor) -> Tensor:
        moved = (layer.inputs @ x.mT) @ v
        if layer.bias is not None:
            moved = moved + v.sum(-2, keepdim=True)
        return self._gain * moved

    def _validate(
        self, base: Tensors, deltas: Tensors, inputs: Tensor, outer: Outer
    ) -> tuple[Tensors, Tensors]:
        """Run validation inputs through the stepped networks and the task losses' gradients back.

        Args:
            base: parameters after a step under a zero gradient.
            deltas: gradients at the layers' outputs in the training pass, [P, B, out].
            inputs: of the validation batch.
            outer: gives the task losses' gradients at the validation outputs.

        Returns:
            each layer's inputs [P, B, in] and gradients at its outputs [P, B, out].
        """
        biases = self._stepped_biases(base, deltas)
        if len(deltas[0]) == 1:
            single = [delta[0] for delta in deltas], [bias[0] for bias in biases]
            outputs, thin, nodes = self._stepped_forward(base, inputs, *single)
            arrived = torch.autograd.grad(outputs, nodes, outer(outputs.detach()[None])[0])
            return [x[None] for x in thin], [v[None] for v in arrived]
        run = partial(self._stepped_forward, base, inputs)
        outputs, thin, nodes = vmap(run, randomness="same")(deltas, biases)
        return thin, list(torch.autograd.grad(outputs, nodes, outer(outputs.detach())))

    def _stepped_biases(self, base: Tensors, deltas: Tensors) -> Tensors:
        """Return the layers' stepped biases [P, out], zeros where a layer has none.

        They are the leaves that make the layers' outputs differentiable.
        """
        biases = []
        for layer, delta in zip(self._layers, deltas, strict=True):
            step = self._gain * delta.sum(-2)
            bias = torch.zeros_like(step) if layer.bias is None else base[layer.bias] - step
            biases.append(bias.requires_grad_())
        return biases

    @torch.enable_grad()
    def _stepped_forward(
        self, base: Tensors, inputs: Tensor, deltas: Tensors, biases: Tensors
    ) -> tuple[Tensor, Tensors, Tensors]:
        """Return one stepped network's outputs, and its layers' inputs and outputs."""
        thin: Tensors = []
        nodes: Tensors = []

        def rule(position: int, x: Tensor, weight: Tensor, _: Tensor | None) -> Tensor:
            index = len(nodes)
            layer = self._layers[index]
            assert layer.weight == position, "the network runs its layers in changing order"
            overlap = x @ layer.inputs.T
            y = F.linear(x, weight, biases[index])
            y = torch.addmm(y, overlap, deltas[index], alpha=-self._gain)
            thin.append(x.detach())
            nodes.append(y)
            return y

        with _LinearLayers(base, rule):
            return self._start.network(base, inputs), thin, nodes


def is_low_rank(network: Network, parameters: Sequence[Tensor], inputs: Tensor) -> bool:
    """Tell whether each parameter is the weight or bias of one linear layer, used once.

    Args:
        network: to try.
        parameters: of the network.
        inputs: a batch, or a few rows of one.
    """
    used: list[int] = []

    def rule(position: int, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        used.append(position)
        used.extend(i for i, theta in enumerate(leaves) if theta is bias)
        return F.linear(x, weight, bias)

    leaves = [theta.detach() for theta in parameters]
    try:
        with torch.no_grad(), _LinearLayers(leaves, rule):
            network(leaves, inputs)
    except _OtherUseError:
        return False
    return sorted(used) == list(range(len(leaves)))


class _OtherUseError(Exception):
    """A parameter is used outside a linear layer of a flat batch."""


@final
class _LinearLayers(TorchFunctionMode):
    """Inside the block, linear layers of the given parameters are computed by a rule.

    Raises:
        _OtherUseError: where a parameter is used in any other way, so that no number is ever wrong.
    """

    def __init__(self, parameters: Sequence[Tensor], rule: LinearRule):
        super().__init__()
        self._positions = {id(theta): position for position, theta in enumerate(parameters)}
        self._rule = rule

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Apply the rule to linear layers and pass on what touches no parameter."""
        kwargs = kwargs or {}
        if func is F.linear:
            x, weight, bias = _linear_arguments(*args, **kwargs)
            if id(weight) in self._positions and x.dim() == 2 and id(x) not in self._positions:
                return self._rule(self._positions[id(weight)], x, weight, bias)
        if any(id(leaf) in self._positions for leaf in tree_leaves((args, kwargs))):
            raise _OtherUseError(str(func))
        return func(*args, **kwargs)


def _linear_arguments(
    input: Tensor,  # noqa: A002  # PyTorch's own name
    weight: Tensor,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    return input, weight, bias


def _drifted(start: Start) -> Tensors:
    """Return the parameters after a step under a zero gradient: weight decay and momentum alone."""
    assert isinstance(start.optimizer, SGD)
    parameters = [theta.detach() for theta in start.parameters]
    if start.state.step == 0 and not start.optimizer.weight_decay:
        return parameters
    zeros = [torch.zeros_like(theta) for theta in parameters]
    stepped, _ = start.optimizer.step(parameters, zeros, start.state)
    return stepped


def _gradients(outputs: Tensors, inputs: Tensors, cotangents: Tensors) -> Tensors:
    """Return vector-Jacobian products for P cotangents at once; each [P, ...]."""
    if len(cotangents[0]) == 1:
        single = [c[0] for c in cotangents]
        found = torch.autograd.grad(outputs, inputs, single, retain_graph=True)
        return [g[None] for g in found]
    return list(
        torch.autograd.grad(outputs, inputs, cotangents, retain_graph=True, is_grads_batched=True)
    )
