"""The linear layers of a pass: recorded as it runs, or computed by another rule.

The gradient of a linear layer's weight is a product of two factors, delta^T a, with one row an
example (or position): a is the layer's input, delta the gradient at its output.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

ROW_WISE: frozenset[Callable[..., Any]] = frozenset(
    {
        *(F.relu, F.gelu, F.silu, F.elu, F.leaky_relu, F.softplus, F.mish, F.hardtanh),
        *(torch.relu, torch.tanh, torch.sigmoid, Tensor.relu, Tensor.tanh, Tensor.sigmoid),
        *(F.relu_, torch.relu_, Tensor.relu_),
    }
)
"""Elementwise functions: what they give for a row depends on no other row."""

QUERIES: frozenset[Callable[..., Any]] = frozenset(
    {
        *(Tensor.dim, Tensor.size, Tensor.is_floating_point),
        *(Tensor.shape.__get__, Tensor.dtype.__get__, Tensor.device.__get__),  # type: ignore[attr-defined]
    }
)
"""What a pass may ask of a tensor without computing anything."""

FLATTENING: frozenset[Callable[..., Any]] = frozenset({torch.flatten, Tensor.flatten})
"""Row-wise as well where they begin at dimension 1."""


@final
@dataclass(frozen=True)
class LinearCall:
    """One use of a linear layer.

    Attributes:
        weight: position of its weight, [out, in], among the parameters.
        bias: position of its bias, if there is one.
        inputs: a, [N, in].
        shape: of its output, [..., out].
        edge: its output in the graph. A tensor would not do: where an activation is computed in
            place it stands for what comes after it.
        version: of the input's memory.
        is_first: whether the input depends on no parameter, so that no gradient passes the weight.
    """

    weight: int
    bias: int | None
    inputs: Tensor
    shape: torch.Size
    edge: GradientEdge
    version: int
    is_first: bool

    @property
    def positions(self) -> tuple[int, ...]:
        """Positions of weight and bias among the parameters."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def require_unchanged(self) -> None:
        """Raise where the input was overwritten after the layer had read it."""
        if self.inputs._version != self.version:
            raise NotImplementedError("the input of a linear layer is overwritten in place")


Rule = Callable[[Tensor, int, Tensor, Tensor | None], Tensor]
"""Computes a layer from its input, its weight's position, its weight and its bias."""


class UnknownOperatorError(Exception):
    """A network does more than linear layers of flat batches and elementwise functions."""


@final
class LinearLayers(TorchFunctionMode):
    """Inside the block, finds the linear layers of given parameters.

    Args:
        parameters: that the pass uses.
        rule: computes the layers; by default they are computed as ever and recorded.
        row_wise: refuse all that is not known to treat each row of a flat batch by itself.

    Attributes:
        calls: of linear layers, in order, where there is no rule.
    """

    def __init__(
        self, parameters: Sequence[Tensor], rule: Rule | None = None, *, row_wise: bool = False
    ):
        super().__init__()
        self.calls: list[LinearCall] = []
        self._positions = {id(theta): position for position, theta in enumerate(parameters)}
        self._rule, self._row_wise = rule, row_wise
        self._elsewhere: set[int] = set()

    def others(self) -> list[int]:
        """Return the positions of the parameters that are in no linear layer.

        Raises:
            NotImplementedError: a linear layer's parameter is used for something else as well.
        """
        in_layers = {position for call in self.calls for position in call.positions}
        if in_layers & self._elsewhere:
            raise NotImplementedError("a linear layer's weight is used for something else as well")
        return [at for at in self._positions.values() if at not in in_layers]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute or record a linear layer; note where else parameters go."""
        kwargs = kwargs or {}
        if func is F.linear:
            x, weight, bias = _linear_arguments(*args, **kwargs)
            if self._serves(x, weight, bias):
                return self._linear(x, weight, bias)
        elsewhere = {
            self._positions[id(leaf)]
            for leaf in tree_leaves((args, kwargs))
            if id(leaf) in self._positions
        }
        if self._row_wise and (elsewhere or not _is_row_wise(func, args, kwargs)):
            raise UnknownOperatorError(str(func))
        self._elsewhere |= elsewhere
        return func(*args, **kwargs)

    def _serves(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
        known = id(weight) in self._positions and (bias is None or id(bias) in self._positions)
        flat = x.dim() == 2 if self._row_wise else x.dim() > 1
        return known and flat and id(x) not in self._positions

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        position = self._positions[id(weight)]
        if self._rule is not None:
            return self._rule(x, position, weight, bias)
        y = F.linear(x, weight, bias)
        of_bias = None if bias is None else self._positions[id(bias)]
        inputs = x.detach().flatten(0, -2)
        edge = get_gradient_edge(y)
        self.calls.append(
            LinearCall(
                position, of_bias, inputs, y.shape, edge, inputs._version, not x.requires_grad
            )
        )
        return y


def _is_row_wise(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    if func in FLATTENING:
        begin = args[1] if len(args) > 1 else kwargs.get("start_dim", 0)
        return bool(begin == 1)
    return func in ROW_WISE or func in QUERIES


def _linear_arguments(
    input: Tensor,  # noqa: A002  # PyTorch's own name
    weight: Tensor,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    return input, weight, bias
