"""A training pass that serves the step and J w at once.

The model runs on copies of its parameters, so that the graph outlives the optimizer's step.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, final

import torch
from torch import Tensor

from lossforge.training.hypergradient.clipping import Clipping
from lossforge.training.hypergradient.jacobian import Gradients, ReverseProducts, gradients
from lossforge.training.hypergradient.low_rank import LowRankPass
from lossforge.training.hypergradient.passes import (
    NotRepeatableError,
    direction_weights,
    require_total,
)
from lossforge.training.hypergradient.state import TrainState
from lossforge.training.module import differentiable, replaced


@final
class FusedStep:
    """One step whose training pass is kept for J w.

    Args:
        state: to train.
        rerun: runs the model on the training batch.
        low_rank: compute gradients by low-rank factors of linear layers.
        spare: positions of parameters of which J w needs no copy, as a pass like this one told.

    Attributes:
        outputs: of the model, detached.

    Raises:
        NotRepeatableError: the pass writes to its parameters.
    """

    def __init__(
        self,
        state: TrainState,
        rerun: Callable[[], Tensor],
        *,
        low_rank: bool,
        spare: frozenset[int] = frozenset(),
    ):
        self._state = state
        self._leaves = [
            (theta.detach() if at in spare else theta.detach().clone()).requires_grad_()
            for at, theta in enumerate(state.parameters)
        ]
        versions = [leaf._version for leaf in self._leaves]
        self._low_rank: LowRankPass | None = None
        with differentiable(), self._on_copies(), torch.enable_grad():
            if low_rank:
                self._low_rank = LowRankPass(lambda _: rerun(), self._leaves)
                self.outputs = self._low_rank.outputs
            else:
                graph = rerun()
                self._products = ReverseProducts(graph, self._leaves)
                self.outputs = graph.detach()
        if versions != [leaf._version for leaf in self._leaves]:
            raise NotRepeatableError("a pass writes to the parameters")

    @property
    def signature(self) -> object:
        """What the pass went through, as far as the gradient tells; after `transposed`."""
        calls = self._low_rank.calls if self._low_rank is not None else ()
        return tuple((c.positions, c.is_first) for c in calls), self._pattern

    @property
    def spare(self) -> frozenset[int]:
        """Positions of parameters of which J w needs no copy: first layers' weights, and biases."""
        if self._low_rank is None:
            return frozenset()
        calls = self._low_rank.calls
        needed = {call.weight for call in calls if not call.is_first} | set(self._low_rank.others)
        return frozenset(range(len(self._leaves))) - needed

    def transposed(self, cotangent: Tensor) -> Gradients:
        """Return J^T c."""
        with differentiable(), self._on_copies():
            found = (self._low_rank or self._products).transposed(cotangent)
        self._pattern = tuple(g is None for g in found)
        return found

    def pull_back_step(
        self,
        rerun: Callable[[], Tensor],
        outcome: Callable[[Tensor], Tensor],
        clipping: Clipping,
        slopes: list[Tensor | float],
    ) -> tuple[float, Tensor]:
        """Return T and J w, after the model took its step.

        Args:
            rerun: runs the model on the validation batch.
            outcome: T of its outputs.
            clipping: of the step.
            slopes: of the optimizer.
        """
        state = self._state
        if self._low_rank is not None:
            passed = LowRankPass(lambda _: rerun(), state.parameters)
            value = outcome(passed.graph)
            found, gains = passed.gradient(value), [float(s) for s in slopes]
            with differentiable(), self._on_copies():
                return value.item(), self._low_rank.product(passed, found, gains)
        with torch.enable_grad():
            value = outcome(rerun())
        arrived = gradients(value, state.parameters)
        response: Gradients = [
            None if v is None else v.to_dense() * s for v, s in zip(arrived, slopes, strict=True)
        ]
        direction = clipping.pull_back(response)
        with differentiable(), self._on_copies():
            return value.item(), self._products.product(direction)

    def require_product(self, cotangent: Tensor, gradient: Gradients) -> None:
        """Raise `NotRepeatableError` unless <c, J w> is <g, w> for g = J^T c and w along g."""
        weights, total = direction_weights(gradient)
        with differentiable(), self._on_copies():
            if self._low_rank is not None:
                found = self._low_rank.gradient_along(cotangent)
                tangent = self._low_rank.product(self._low_rank, found, weights, retain_graph=True)
            else:
                pairs = zip(gradient, weights, strict=True)
                along = [None if g is None else g * w for g, w in pairs]
                tangent = self._products.product(along, retain_graph=True)
        require_total(cotangent, tangent, total, self._state)

    def _on_copies(self) -> AbstractContextManager[Any]:
        pairs = zip(self._state.parameters, self._leaves, strict=True)
        return replaced(self._state.module, {id(theta): leaf for theta, leaf in pairs})
