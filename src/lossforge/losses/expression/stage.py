"""One level of a population at work, forward and in reverse.

A view of memory costs as much to make as a small operation, so every view is made once.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from lossforge.losses.expression.primitives import (
    LIMIT,
    PRIMITIVES,
    Factor,
    Primitive,
    through_limit_,
)
from lossforge.losses.expression.schedule import Level

# The argument whose adjoint grows and the one whose tangent makes it, for each second derivative.
_CURVATURE = {1: (((0, 0),),), 2: (((0, 0),), ((0, 1), (1, 0)), ((1, 1),))}


@final
@dataclass(frozen=True, slots=True)
class Kernel:
    """One primitive at the nodes of a level that have it: views of n rows of width W.

    Attributes:
        primitive: what is computed.
        value: [n, W], where the value goes.
        arguments: [n, W] each, limited.
        tangents: [n, W] each, of the arguments.
        factors: [n, W] each, where the first derivatives go.
        adjoints: [n, W] each, of the arguments.
        output: [n, W], adjoint of the tangent of the value.
    """

    primitive: Primitive
    value: Tensor
    arguments: tuple[Tensor, ...]
    tangents: tuple[Tensor, ...]
    factors: tuple[Tensor, ...]
    adjoints: tuple[Tensor, ...]
    output: Tensor

    def run(self, order: int) -> tuple[Factor, ...]:
        """Write the value and, above order 0, the first derivatives; return the second ones."""
        jet = self.primitive.jet(order, *self.arguments, out=self.value)
        if order:
            for factor, room in zip(jet.first, self.factors, strict=True):
                if isinstance(factor, Tensor):
                    room.copy_(factor)
        return jet.second

    def write_constants(self) -> None:
        """Write the first derivatives that are the same everywhere, which `run` leaves alone."""
        one = self.value.new_ones(())
        jet = self.primitive.jet(1, *[one] * self.primitive.arity)
        for factor, room in zip(jet.first, self.factors, strict=True):
            if not isinstance(factor, Tensor):
                room.fill_(factor)

    def add_curvature(self, second: tuple[Factor, ...]) -> None:
        """Add Σ_j f_ij·ȧ_j·w to the adjoint of each argument i, w being `output`."""
        for factor, pairs in zip(second, _CURVATURE[self.primitive.arity], strict=True):
            for target, other in pairs:
                if isinstance(factor, Tensor):
                    self.adjoints[target].addcmul_(self.tangents[other] * factor, self.output)
                elif factor:
                    self.adjoints[target].addcmul_(self.tangents[other], self.output, value=factor)


@final
class Stage:
    """One level in memory, from the rows of the state that it reads to those that it writes.

    The two planes are value and tangent.

    Args:
        level: what is computed.
        rows: [2, nodes, W], the level's rows of the state.
        flow: [2, edges, W], what flows along the level's edges.
        adjoint: [2, edges, W], the adjoint of `flow`.
        sources: [edges], rows of the state that the edges start from.
        consumers: [nodes], edges of the population that start from the level's nodes.
    """

    def __init__(
        self,
        level: Level,
        *,
        rows: Tensor,
        flow: Tensor,
        adjoint: Tensor,
        sources: Tensor,
        consumers: Tensor,
    ) -> None:
        nodes, binary = len(level.nodes), level.binary
        self._sources, self._consumers = sources, consumers
        self._rows, self._binary_rows = rows, rows[:, :binary]
        self._flow = (flow[:1], flow, flow)
        self._adjoint = adjoint
        self._first_adjoint, self._second_adjoint = adjoint.split_with_sizes([nodes, binary], dim=1)
        self._arguments, self._tangents = flow.unbind()
        factors = torch.empty_like(self._arguments)
        self._first_factors, self._second_factors = factors.split_with_sizes([nodes, binary])
        self._first_tangents, self._second_tangents = self._tangents.split_with_sizes(
            [nodes, binary]
        )
        self._row_tangents, self._binary_row_tangents = rows[1], rows[1, :binary]
        self._kernels = _kernels(level, rows, flow, adjoint, factors)
        self._second: list[tuple[Factor, ...]] = []

    def forward(self, state: Tensor, coefficients: Tensor, order: int) -> None:
        """Compute the level's rows of the state from lower ones.

        Args:
            state: [planes, rows, W], with one plane at order 0, else two.
            coefficients: [edges, 1] of the level.
            order: 0 for values, 1 for tangents as well, 2 to prepare `backward`.
        """
        flow = self._flow[order]
        torch.index_select(state, 1, self._sources, out=flow)
        flow.mul_(coefficients)
        self._arguments.clamp_(-LIMIT, LIMIT)
        if order:
            through_limit_(self._tangents, self._arguments)
        self._second = [kernel.run(order) for kernel in self._kernels]
        if order:
            torch.mul(self._first_factors, self._first_tangents, out=self._row_tangents)
            self._binary_row_tangents.addcmul_(self._second_factors, self._second_tangents)

    def backward(self, adjoint: Tensor, coefficients: Tensor) -> None:
        """Compute the adjoint of the level's flow from higher ones, and multiply `flow` by it.

        Overwrites the level's rows of the state, which are of no more use.

        Args:
            adjoint: [2, edges of the population, W].
            coefficients: [nodes, 1], of the edges that start from the level's nodes.
        """
        rows = self._rows
        torch.index_select(adjoint, 1, self._consumers, out=rows)
        rows.mul_(coefficients)
        torch.mul(rows, self._first_factors, out=self._first_adjoint)
        torch.mul(self._binary_rows, self._second_factors, out=self._second_adjoint)
        for kernel, second in zip(self._kernels, self._second, strict=True):
            kernel.add_curvature(second)
        through_limit_(self._adjoint, self._arguments.expand_as(self._adjoint))
        self._flow[-1].mul_(self._adjoint)


def _kernels(
    level: Level, rows: Tensor, flow: Tensor, adjoint: Tensor, factors: Tensor
) -> list[Kernel]:
    sizes = [count for _, count in level.kernels]
    binary = [count for name, count in level.kernels if PRIMITIVES[name].arity == 2]

    def by_argument(edges: Tensor) -> list[tuple[Tensor, ...]]:
        views = edges.split_with_sizes(sizes + binary)
        first, second = views[: len(sizes)], views[len(sizes) :]
        return [(view, second[i]) if i < len(binary) else (view,) for i, view in enumerate(first)]

    kernels = [
        Kernel(PRIMITIVES[name], *views)
        for (name, _), *views in zip(
            level.kernels,
            rows[0].split_with_sizes(sizes),
            by_argument(flow[0]),
            by_argument(flow[1]),
            by_argument(factors),
            by_argument(adjoint[0]),
            rows[1].split_with_sizes(sizes),
            strict=True,
        )
    ]
    for kernel in kernels:
        kernel.write_constants()
    return kernels
