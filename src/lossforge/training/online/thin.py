"""The rule for linear layers under SGD: their gradients are products of two thin matrices.

v of a weight is delta^T a, with one row an example. SGD's response is a number, so that w moves the
layer's training output by (x a^T) delta: v and w are never built. Parameters that are not in linear
layers are held in full.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from lossforge.training.online.rules import Before, Response, Rule, derivative_along
from lossforge.training.online.trainee import Inputs, Trainee
from lossforge.training.optimizers import Tensors


@final
@dataclass(frozen=True)
class _Call:
    """One use of a linear layer.

    Attributes:
        weight: name of the weight.
        bias: name of the bias, if there is one.
        inputs: x, [N, in].
        node: the output in the graph, [..., out].
    """

    weight: str
    bias: str | None
    inputs: Tensor
    node: Tensor


@final
class ThinRule(Rule):
    """J w through thin factors where a layer is linear.

    Raises:
        NotImplementedError: the optimizer's response is not one number a parameter, or a linear
            layer's weight is used for something else as well.
    """

    def __init__(self, trainee: Trainee, before: Before, inputs: Inputs):
        if not trainee.mirror.is_sgd or trainee.clip_norm or trainee.precision:
            raise NotImplementedError("thin factors serve unclipped SGD in full precision")
        self._trainee, self._names = trainee, list(before.parameters)
        with _Tap(before.parameters) as tap:
            self._graph = trainee.outputs(tap.leaves, inputs)
        self._calls, self._whole = tap.calls, tap.whole(before.parameters)
        self.outputs = self._graph.detach()

    def gradient(self, cotangent: Tensor) -> Tensors:
        self._at = cotangent.detach().requires_grad_()
        nodes = [call.node for call in self._calls]
        self._linear = torch.autograd.grad(
            self._graph,
            [*nodes, *self._whole.values()],
            self._at,
            create_graph=True,
            materialize_grads=True,
        )
        found = {
            name: g.detach()
            for name, g in zip(self._whole, self._linear[len(nodes) :], strict=True)
        }
        for call, delta in zip(self._calls, self._linear, strict=False):
            rows = delta.detach().flatten(0, -2)
            _accumulate(found, call.weight, rows.T @ call.inputs)
            if call.bias is not None:
                _accumulate(found, call.bias, rows.sum(0))
        return [found[name] for name in self._names]

    def carry_back(
        self, inputs: Inputs, outcome: Callable[[Tensor], Tensor], response: Response
    ) -> tuple[Tensor, Tensor]:
        """Return T and J w; the response must be SGD's, one number a parameter."""
        trainee = self._trainee
        named, buffers = trainee.named(), trainee.buffers()
        with _Tap(named) as tap:
            outputs = trainee.outputs(tap.leaves | buffers, inputs)
        value = outcome(outputs)
        whole, nodes = tap.whole(named), [call.node for call in tap.calls]
        arrived = torch.autograd.grad(value, [*nodes, *whole.values()], materialize_grads=True)
        gains = dict(zip(self._names, trainee.mirror.gains(), strict=True))
        by_layer: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for call, delta in zip(tap.calls, arrived, strict=False):
            by_layer[call.weight].append((call.inputs, delta.flatten(0, -2)))
        of_whole = dict(zip(whole, arrived[len(nodes) :], strict=True))
        moved = [_moved(call, by_layer[call.weight], gains) for call in self._calls]
        moved += [of_whole[name] * gains[name] for name in self._whole]
        return value.detach(), derivative_along(self._linear, self._at, moved)


def _moved(
    call: _Call, factors: Sequence[tuple[Tensor, Tensor]], gains: Mapping[str, float]
) -> Tensor:
    """Return how w moves a layer's output in the training pass, shaped like it."""
    total = torch.zeros_like(call.node).flatten(0, -2)
    for inputs, delta in factors:
        gain = gains[call.weight]
        if len(call.inputs) * len(inputs) <= inputs.shape[1] * delta.shape[1]:
            total.addmm_(call.inputs @ inputs.T, delta, alpha=gain)
        else:
            total.addmm_(call.inputs, inputs.T @ delta, alpha=gain)
        if call.bias is not None:
            total.add_(delta.sum(0), alpha=gains[call.bias])
    return total.view_as(call.node)


def _accumulate(found: dict[str, Tensor], name: str, share: Tensor) -> None:
    found[name] = found[name] + share if name in found else share


@final
class _Tap(TorchFunctionMode):
    """Inside the block, records linear layers and cuts their weights from the graph.

    Args:
        parameters: by name.

    Attributes:
        calls: of linear layers, in order.
        leaves: parameters with which the model is to be called, by name.
    """

    def __init__(self, parameters: Mapping[str, Tensor]):
        super().__init__()
        self.calls: list[_Call] = []
        self.leaves = {k: theta.detach().requires_grad_() for k, theta in parameters.items()}
        self._names = {id(leaf): name for name, leaf in self.leaves.items()}
        self._elsewhere: set[str] = set()

    def whole(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the leaves that are in no linear layer."""
        thin = {name for call in self.calls for name in (call.weight, call.bias)}
        if clash := thin & self._elsewhere:
            raise NotImplementedError(f"{min(map(str, clash))} is not only in linear layers")
        return {name: self.leaves[name] for name in parameters if name not in thin}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute a linear layer from detached weights; note where else parameters go."""
        kwargs = kwargs or {}
        if func is F.linear and not kwargs and id(args[1]) in self._names:
            x, weight, *rest = args
            bias = rest[0] if rest else None
            known = bias is None or id(bias) in self._names
            if known and x.dim() > 1 and id(x) not in self._names:
                return self._linear(x, weight, bias)
        found = {self._names[id(leaf)] for leaf in tree_leaves((args, kwargs)) if self._has(leaf)}
        self._elsewhere |= found
        return func(*args, **kwargs)

    def _has(self, leaf: object) -> bool:
        return id(leaf) in self._names

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        y = F.linear(x, weight.detach(), None if bias is None else bias.detach())
        node = y if y.requires_grad else y.requires_grad_()
        name = None if bias is None else self._names[id(bias)]
        inputs = x.detach().flatten(0, -2)
        self.calls.append(_Call(self._names[id(weight)], name, inputs, node))
        return node
