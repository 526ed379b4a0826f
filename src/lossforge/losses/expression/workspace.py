"""The memory that a program runs in, and the sweeps through it.

Fresh memory costs more than the arithmetic that is done in it, so a program keeps what it has.
"""

from typing import final

import torch
from torch import Tensor

from lossforge.losses.expression.layout import Layout
from lossforge.losses.expression.primitives import LIMIT, through_limit_
from lossforge.losses.expression.stage import Stage


@final
class Workspace:
    """Memory for a fixed number of pairs, W, and the sweeps over a population's levels.

    Args:
        layout: the population.
        inputs: 1 where all trees share y and p, else the number of trees.
        width: W.

    Attributes:
        output: [2, trees, W], values and tangents of the roots after `forward`.
        output_adjoint: [2, trees, W], the adjoint of `output`, to be set before `backward`.
    """

    def __init__(self, layout: Layout, inputs: int, width: int) -> None:
        node_sizes, edge_sizes = layout.node_sizes, layout.edge_sizes
        nodes, edges = sum(node_sizes), sum(edge_sizes)
        empty = layout.signs.new_empty
        self._state = empty(2, nodes + 1 + 2 * inputs, width)
        self._flow, self._adjoint = empty(2, edges, width), empty(2, edges, width)
        *rows, one, self._p, self._y = self._state.split_with_sizes(
            [*node_sizes, 1, inputs, inputs], dim=1
        )
        *flows, self.output = self._flow.split_with_sizes(edge_sizes, dim=1)
        *adjoints, self.output_adjoint = self._adjoint.split_with_sizes(edge_sizes, dim=1)
        sources = layout.shared_sources if inputs == 1 else layout.own_sources
        *level_sources, self._output_sources = sources.split_with_sizes(edge_sizes)
        consumers = layout.consumers.split_with_sizes(node_sizes)
        self._stages = [
            Stage(level, rows=r, flow=f, adjoint=a, sources=s, consumers=c)
            for level, r, f, a, s, c in zip(
                layout.levels, rows, flows, adjoints, level_sources, consumers, strict=True
            )
        ]
        self._edge_sizes, self._node_sizes = edge_sizes, node_sizes
        self._consumers = layout.consumers
        one[0] = 1.0
        one[1] = self._y[1] = 0.0

    @staticmethod
    def bytes_per_column(layout: Layout, inputs: int) -> int:
        """Return the memory that one unit of width takes."""
        nodes, edges = sum(layout.node_sizes), sum(layout.edge_sizes)
        rows = 2 * (nodes + 1 + 2 * inputs) + 5 * edges
        return rows * layout.signs.element_size()

    def forward(self, y: Tensor, p: Tensor, coefficients: Tensor, order: int) -> None:
        """Compute `output`, and its tangents for ṗ = 1 above order 0.

        Args:
            y: targets, [inputs, W].
            p: predictions, [inputs, W].
            coefficients: [edges, 1].
            order: 0, 1, or 2 to prepare `backward`.
        """
        planes = slice(0, 1 if order == 0 else 2)
        torch.clamp(y, -LIMIT, LIMIT, out=self._y[0])
        torch.clamp(p, -LIMIT, LIMIT, out=self._p[0])
        self._p[1] = 1.0
        through_limit_(self._p[1], self._p[0])
        state, output = self._state[planes], self.output[planes]
        *levels, roots = coefficients.split_with_sizes(self._edge_sizes)
        for stage, level in zip(self._stages, levels, strict=True):
            stage.forward(state, level, order)
        torch.index_select(state, 1, self._output_sources, out=output)
        output.mul_(roots)

    def backward(self, coefficients: Tensor) -> Tensor:
        """Return the derivatives [edges] of ⟨output, output_adjoint⟩ by the coefficients.

        Overwrites what `forward` left.

        Args:
            coefficients: [edges, 1], as in `forward`, none of them zero.
        """
        self.output.mul_(self.output_adjoint)
        levels = coefficients.index_select(0, self._consumers).split_with_sizes(self._node_sizes)
        for stage, level in zip(reversed(self._stages), reversed(levels), strict=True):
            stage.backward(self._adjoint, level)
        # The flow is coefficient · value, now times its adjoint.
        return self._flow.sum(dim=(0, 2)) / coefficients.squeeze(1)
