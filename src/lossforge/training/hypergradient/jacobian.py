"""The Jacobian J of a network's outputs in its parameters: J^T c by reverse, J w by two ways.

Forward mode runs the network again on dual numbers. Reverse mode uses that J^T c is linear in c:
J w is the derivative of <J^T c, w> with respect to c, which takes a reverse pass that can itself be
differentiated. A third way, by low-rank factors of linear layers, needs no w: see `low_rank`.
"""

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from lossforge.training.hypergradient.fast_tangents import FastTangents

Gradients = list[Tensor | None]
"""One tensor a parameter; None where the outputs do not depend on it."""

Function = Callable[[Sequence[Tensor]], Tensor]
"""Maps parameters to outputs [B, C, ...]."""


def forward_product(
    function: Function, parameters: Sequence[Tensor], direction: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor]:
    """Return the outputs and J w, by one pass in forward mode.

    Args:
        function: to differentiate.
        parameters: where.
        direction: w, a tensor a parameter.

    Raises:
        RuntimeError, NotImplementedError: an operator has no derivative in forward mode.
    """
    with torch.no_grad(), forward_ad.dual_level(), FastTangents():
        duals = [
            theta.detach() if w is None else forward_ad.make_dual(theta.detach(), w)
            for theta, w in zip(parameters, direction, strict=True)
        ]
        outputs, tangent = forward_ad.unpack_dual(function(duals))
    return outputs, torch.zeros_like(outputs) if tangent is None else tangent


@final
class ReverseProducts:
    """J^T c, and J w from the same graph.

    Args:
        outputs: of a pass, with its graph.
        parameters: that the graph holds.
        after: maps a parameter and its gradient to what a step is to see of it; differentiable.
    """

    def __init__(
        self,
        outputs: Tensor,
        parameters: Sequence[Tensor],
        after: Callable[[Tensor, Tensor], Tensor] | None = None,
    ):
        self._outputs, self._parameters, self._after = outputs, parameters, after
        self._products: Gradients | None = None

    def transposed(self, cotangent: Tensor) -> Gradients:
        """Return J^T c. The first call prepares J w at its c, later ones are plain."""
        if self._products is not None:
            return gradients(self._outputs, self._parameters, cotangent, retain_graph=True)
        self._at = cotangent.detach().requires_grad_()
        self._products = list(
            torch.autograd.grad(
                self._outputs, self._parameters, self._at, create_graph=True, allow_unused=True
            )
        )
        if self._after is not None:
            pairs = zip(self._parameters, self._products, strict=True)
            self._products = [None if g is None else self._after(theta, g) for theta, g in pairs]
        return [None if g is None else g.detach() for g in self._products]

    def product(self, direction: Sequence[Tensor | None], *, retain_graph: bool = False) -> Tensor:
        """Return J w; after `transposed`."""
        assert self._products is not None
        return transpose_again(self._products, self._at, direction, retain_graph=retain_graph)


def transpose_again(
    products: Sequence[Tensor | None],
    at: Tensor,
    weights: Sequence[Tensor | None],
    *,
    retain_graph: bool = False,
) -> Tensor:
    """Return d/dc sum <product(c), weight>, for tensors that are functions of c."""
    pairs = [
        (g, w)
        for g, w in zip(products, weights, strict=True)
        if g is not None and w is not None and g.requires_grad
    ]
    if not pairs:
        return torch.zeros_like(at)
    found = torch.autograd.grad(
        [g for g, _ in pairs],
        at,
        [w for _, w in pairs],
        retain_graph=retain_graph,
        materialize_grads=True,
    )
    return found[0]


def gradients(
    value: Tensor,
    parameters: Sequence[Tensor],
    cotangent: Tensor | None = None,
    *,
    retain_graph: bool = False,
) -> Gradients:
    """Return the gradient by each parameter, None for those that the value does not depend on."""
    return list(
        torch.autograd.grad(
            value, list(parameters), cotangent, retain_graph=retain_graph, allow_unused=True
        )
    )


def suspects(outputs: Tensor, module: nn.Module) -> tuple[str, ...]:
    """Return the names of what is known to break derivatives of a backward pass.

    These are autograd functions of the user's own, and embeddings that scale their gradients.

    Args:
        outputs: of a pass, with its graph.
        module: that gave them.
    """
    names = {
        "embedding_dense_backward (scale_grad_by_freq)"
        for part in module.modules()
        if isinstance(part, nn.Embedding | nn.EmbeddingBag) and part.scale_grad_by_freq
    }
    seen: set[Any] = set()
    waiting: list[Any] = [outputs.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            names.add(type(node).__name__.removesuffix("Backward"))
        waiting += [following for following, _ in node.next_functions]
    return tuple(sorted(names))
