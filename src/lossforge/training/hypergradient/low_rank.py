"""The transport for networks of linear layers and elementwise functions.

The gradient of a linear layer's weight is a product of two thin matrices, delta^T a, with one row
an example. A step of SGD then needs no dense gradient: the stepped layer computes
shrink x W^T - gain (x a^T) delta, and J w is built from the same thin factors. Exact, without a
matrix of the weights' size beyond the weights themselves. Losses that start at one point share the
weights, so that their examples pass through wide products together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from lossforge.training.hypergradient.transport import Outer, Start, Transport
from lossforge.training.network import Network
from lossforge.training.optimizers import SGD, Tensors

CHUNK_ELEMENTS = 1 << 20
"""Losses are taken together while their widest activations fit this many numbers: a cache."""

ROW_WISE: frozenset[Callable[..., Any]] = frozenset(
    {
        *(F.relu, F.gelu, F.silu, F.elu, F.leaky_relu, F.softplus, F.mish, F.hardtanh),
        *(torch.relu, torch.tanh, torch.sigmoid, Tensor.relu, Tensor.tanh, Tensor.sigmoid),
    }
)
"""Elementwise functions: what they give for a row depends on no other row."""

FLATTENING: frozenset[Callable[..., Any]] = frozenset({torch.flatten, Tensor.flatten})
"""Row-wise as well where they begin at dimension 1."""

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
        base, shrink = _drifted(self._start)
        tangents = []
        for some in zip(*(delta.split(chunk) for delta in deltas), strict=True):
            stepped = _Stepped(self._start.network, self._layers, base, shrink, self._gain, some)
            thin, arrived = stepped.validate(inputs, outer)
            traced = [_moved(*each) for each in zip(self._layers, thin, arrived, strict=True)]
            tangents += _gradients(backward, [at], traced)
        return torch.cat(tangents).mul_(self._gain)


@final
class _Stepped:
    """P networks after the step, with thin factors in place of their stepped weights.

    Args:
        network: of linear layers.
        layers: in the training pass.
        base: parameters that all networks share.
        shrink: by which the step scales them.
        gain: dU/dg of the optimizer.
        deltas: gradients at the layers' outputs in the training pass, [P, B, out].
    """

    def __init__(
        self,
        network: Network,
        layers: Sequence[_Layer],
        base: Tensors,
        shrink: float,
        gain: float,
        deltas: Sequence[Tensor],
    ):
        self._network, self._layers, self._base = network, layers, base
        self._shrink, self._gain, self._deltas = shrink, gain, deltas
        self._inputs: Tensors = []
        self._outputs: Tensors = []

    def validate(self, inputs: Tensor, outer: Outer) -> tuple[Tensors, Tensors]:
        """Run validation inputs forward and the task losses' gradients back.

        Returns:
            each layer's inputs [P, B, in] (or [B, in] where all are the same) and gradients at its
            outputs [P, B, out].
        """
        with torch.enable_grad(), _LinearLayers(self._base, self._layer):
            outputs = self._network(self._base, inputs)
        apart = outputs.detach().unflatten(0, (len(self._deltas[0]), -1))
        cotangent = outer(apart).flatten(0, 1)
        arrived = torch.autograd.grad(outputs, self._outputs, cotangent)
        return self._inputs, list(arrived)

    def _layer(self, position: int, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute a stepped layer for the rows of all networks; the first one sees them as one."""
        layer, delta = self._layers[len(self._outputs)], self._deltas[len(self._outputs)]
        assert layer.weight == position, "the network runs its layers in changing order"
        apart = x.unflatten(0, (len(delta), -1)) if self._outputs else x
        y = _SteppedLinear.apply(  # type: ignore[no-untyped-call]
            apart, weight, bias, layer.inputs, delta, self._shrink, self._gain
        )
        y = y if y.requires_grad else y.requires_grad_()
        self._inputs.append(apart.detach())
        self._outputs.append(y)
        flat: Tensor = y.flatten(0, 1)
        return flat


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
        return torch.baddbmm(
            wide, overlap.expand(len(delta), -1, -1), delta, beta=shrink, alpha=-gain
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if not ctx.needs_input_grad[0]:
            return (None,) * 7
        weight, inputs, delta = ctx.saved_tensors
        thin = (gradient @ delta.mT).flatten(0, 1)
        wide = gradient.flatten(0, 1) @ weight
        of_x = torch.addmm(wide, thin, inputs, beta=ctx.shrink, alpha=-ctx.gain)
        return of_x.view(*gradient.shape[:2], -1), *(None,) * 6


def _moved(layer: _Layer, inputs: Tensor, arrived: Tensor) -> Tensor:
    """Return how the direction that an arrived gradient gives moves a layer's output, [P, B, out].

    Args:
        layer: in the training pass.
        inputs: of the stepped layers, [P, B', in] or [B', in].
        arrived: gradients at the stepped layers' outputs, [P, B', out].
    """
    overlap = layer.inputs @ inputs.mT
    if layer.bias is not None:
        overlap += 1
    return overlap @ arrived


def is_low_rank(network: Network, parameters: Sequence[Tensor], inputs: Tensor) -> bool:
    """Tell whether a network is made of linear layers and elementwise functions alone.

    Each parameter must be the weight or the bias of one linear layer that is used once.

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
    """A network does more than linear layers of flat batches and elementwise functions."""


@final
class _LinearLayers(TorchFunctionMode):
    """Inside the block, linear layers of the given parameters are computed by a rule.

    Raises:
        _OtherUseError: for all that is not known to be row-wise, so that no number is ever wrong.
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
        """Apply the rule to linear layers, pass on what is row-wise and refuse all else."""
        kwargs = kwargs or {}
        if func is F.linear:
            x, weight, bias = _linear_arguments(*args, **kwargs)
            if id(weight) in self._positions and x.dim() == 2 and id(x) not in self._positions:
                return self._rule(self._positions[id(weight)], x, weight, bias)
        elif _is_row_wise(func, args, kwargs) and not self._touched(args, kwargs):
            return func(*args, **kwargs)
        raise _OtherUseError(str(func))

    def _touched(self, *arguments: Any) -> bool:
        """Tell whether a parameter is among the arguments."""
        return any(id(leaf) in self._positions for leaf in tree_leaves(arguments))


def _is_row_wise(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    if func in FLATTENING:
        begin = args[1] if len(args) > 1 else kwargs.get("start_dim", 0)
        return bool(begin == 1)
    return func in ROW_WISE


def _linear_arguments(
    input: Tensor,  # noqa: A002  # PyTorch's own name
    weight: Tensor,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    return input, weight, bias


def _drifted(start: Start) -> tuple[Tensors, float]:
    """Return parameters and a factor: the step under a zero gradient gives their product."""
    optimizer = start.optimizer
    assert isinstance(optimizer, SGD)
    parameters = [theta.detach() for theta in start.parameters]
    if start.state.step == 0:
        return parameters, 1 - optimizer.gain * optimizer.weight_decay
    zeros = [torch.zeros_like(theta) for theta in parameters]
    stepped, _ = optimizer.step(parameters, zeros, start.state)
    return stepped, 1.0


def _gradients(outputs: Tensors, inputs: Tensors, cotangents: Tensors) -> Tensors:
    """Return vector-Jacobian products for P cotangents at once; each [P, ...]."""
    if len(cotangents[0]) == 1:
        single = [c[0] for c in cotangents]
        found = torch.autograd.grad(outputs, inputs, single, retain_graph=True)
        return [g[None] for g in found]
    return list(
        torch.autograd.grad(outputs, inputs, cotangents, retain_graph=True, is_grads_batched=True)
    )
