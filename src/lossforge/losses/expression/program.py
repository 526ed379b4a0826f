"""Many unlike trees as one program: values, derivatives by p, and the hypergradient's inner one.

A population's losses are many and small (a batch by its outputs), so that evaluating them one by
one costs calls, not arithmetic. A program runs the nodes of all trees that share level and
primitive as one operation, with derivatives in closed form and no autograd graph.
"""

import math
from collections.abc import Iterator, Sequence
from typing import final

import torch
from torch import Tensor

from lossforge.losses.expression.layout import lay_out
from lossforge.losses.expression.primitives import softplus
from lossforge.losses.expression.tree import Expression
from lossforge.losses.expression.workspace import Workspace
from lossforge.validation import require

CPU_BYTES = 32 * 2**20
"""Memory of a block of pairs on a CPU, where larger ones leave the cache (measured)."""

DEVICE_BYTES = 2**30
"""Memory of a block of pairs on an accelerator, where larger ones are faster."""

KEPT_WORKSPACES = 4


@final
class Program:
    """A population of P unlike expressions compiled to be evaluated together.

    Inputs y, p and tangent are [B, C], shared by all trees, or [P, B, C]. Coefficients are [P, N]
    with N the size of the largest tree, of which a tree uses as many as it has nodes; None is all
    ones. All are converted to the program's type. Nothing is recorded by autograd.

    A program owns the memory that it works in: two threads must not use it at once.

    Args:
        expressions: the trees, at least one.
        softplus: whether the output of each tree passes through log(1 + eˣ).
        device: where the program runs; the CPU if None.
        dtype: float32 or float64.

    Raises:
        ConfigurationError: there is no expression, or the type is another one.

    Examples:
        >>> squared = Expression(("square", "sub", "p", "y"))
        >>> product = Expression(("mul", "y", "p"))
        >>> program = Program([squared, product])
        >>> y, p = torch.tensor([[1.0]]), torch.tensor([[3.0]])
        >>> value, slope = program.slope(y, p)
        >>> value.flatten().tolist(), slope.flatten().tolist()
        ([4.0, 3.0], [4.0, 1.0])
        >>> program.mixed(y, p, torch.ones(1, 1))[2].tolist()
        [[4.0, 8.0, 10.0, -2.0], [1.0, 1.0, 1.0, 0.0]]
    """

    def __init__(
        self,
        expressions: Sequence[Expression],
        *,
        softplus: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        require(len(expressions) > 0, "a program needs at least one expression")
        require(
            dtype in (torch.float32, torch.float64),
            f"a program computes in float32 or float64, not in {dtype}",
        )
        self.expressions = tuple(expressions)
        self.softplus = softplus
        self.device = torch.device("cpu" if device is None else device)
        self.dtype = dtype
        self.size = max(expression.size for expression in expressions)
        self._layout = lay_out(self.expressions, self.size, self.device, dtype)
        self._workspaces: dict[tuple[int, int], Workspace] = {}

    def value(self, y: Tensor, p: Tensor, coefficients: Tensor | None = None) -> Tensor:
        """Return the losses [P, B, C] of all pairs under all trees.

        Args:
            y: targets, [B, C] or [P, B, C].
            p: predictions, [B, C] or [P, B, C].
            coefficients: [P, N].

        Raises:
            ConfigurationError: the shapes do not fit.
        """
        planes, _ = self._run(0, y, p, coefficients)
        return planes[0]

    def slope(
        self, y: Tensor, p: Tensor, coefficients: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the losses and their derivatives by the predictions, both [P, B, C].

        Args:
            y: targets, [B, C] or [P, B, C].
            p: predictions, [B, C] or [P, B, C].
            coefficients: [P, N].

        Raises:
            ConfigurationError: the shapes do not fit.
        """
        planes, _ = self._run(1, y, p, coefficients)
        return planes[0], planes[1]

    def mixed(
        self, y: Tensor, p: Tensor, tangent: Tensor, coefficients: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return losses and slopes, and the derivatives of ⟨slope, tangent⟩ by the coefficients.

        The last are [P, N]: ∂/∂c Σ (slope · tangent), summed over B and C, which is what the
        hypergradient of one inner step needs of the loss. Entries beyond a tree's size are zero.

        Args:
            y: targets, [B, C] or [P, B, C].
            p: predictions, [B, C] or [P, B, C].
            tangent: direction in the predictions, [B, C] or [P, B, C].
            coefficients: [P, N].

        Raises:
            ConfigurationError: the shapes do not fit.
        """
        planes, gradient = self._run(2, y, p, coefficients, tangent)
        return planes[0], planes[1], self._by_tree(gradient)

    @torch.no_grad()
    def _run(
        self,
        order: int,
        y: Tensor,
        p: Tensor,
        coefficients: Tensor | None,
        tangent: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return [1 or 2, P, B, C], and the derivatives [edges] if there is a tangent."""
        shape = self._pair_shape(y, p, tangent)
        shared = y.dim() == p.dim() == 2
        targets, predictions = self._columns(y, shared), self._columns(p, shared)
        directions = None if tangent is None else self._columns(tangent, tangent.dim() == 2)
        edges = self._edge_coefficients(coefficients, zeros=tangent is None)
        planes = edges.new_empty(min(order, 1) + 1, len(self.expressions), targets.shape[1])
        gradient = torch.zeros_like(self._layout.signs)
        for block, workspace in self._blocks(*targets.shape):
            workspace.forward(targets[:, block], predictions[:, block], edges, order)
            self._write_output(workspace.output, planes[..., block])
            if directions is not None:
                self._write_adjoint(workspace, directions[:, block])
                gradient += workspace.backward(edges)
        return planes.view(*planes.shape[:2], *shape), gradient

    def _pair_shape(self, y: Tensor, p: Tensor, tangent: Tensor | None) -> torch.Size:
        trees = len(self.expressions)
        inputs = {"y": y, "p": p} | ({} if tangent is None else {"tangent": tangent})
        for name, tensor in inputs.items():
            require(
                tensor.shape in (p.shape[-2:], (trees, *p.shape[-2:])),
                f"{name} has shape {list(tensor.shape)}; the program needs [B, C] or "
                f"[{trees}, B, C], with B and C the same for all inputs",
            )
        return p.shape[-2:]

    def _columns(self, pairs: Tensor, shared: bool) -> Tensor:
        """Return [1, B·C] or [P, B·C]."""
        flat = pairs.to(self.device, self.dtype).flatten(-2)
        return flat.expand(1 if shared else len(self.expressions), -1)

    def _edge_coefficients(self, coefficients: Tensor | None, zeros: bool) -> Tensor:
        """Return [edges, 1]; without zeros, those are made too small to matter."""
        layout = self._layout
        if coefficients is None:
            return layout.signs.unsqueeze(1)
        shape = (len(self.expressions), self.size)
        require(
            coefficients.shape == shape,
            f"coefficients have shape {list(coefficients.shape)}; the program needs {list(shape)}",
        )
        flat = coefficients.to(self.device, self.dtype).flatten()
        edges = flat.index_select(0, layout.slots) * layout.signs
        if not zeros:
            # The reverse sweep divides by coefficients, and a number whose product with any value
            # of a tree is lost in rounding does for zero.
            tiny = torch.finfo(self.dtype).tiny ** (2 / 3)
            edges = torch.where(edges.abs() < tiny, tiny, edges)
        return edges.unsqueeze(1)

    def _blocks(self, inputs: int, columns: int) -> Iterator[tuple[slice, Workspace]]:
        """Cut the columns into blocks of at most the memory that is fast, each with its room."""
        limit = CPU_BYTES if self.device.type == "cpu" else DEVICE_BYTES
        most = max(1, limit // Workspace.bytes_per_column(self._layout, inputs))
        width = math.ceil(columns / math.ceil(columns / most)) if columns else 1
        for start in range(0, columns, width):
            stop = min(start + width, columns)
            yield slice(start, stop), self._workspace(inputs, stop - start)

    def _workspace(self, inputs: int, width: int) -> Workspace:
        key = inputs, width
        if key not in self._workspaces:
            if len(self._workspaces) == KEPT_WORKSPACES:
                del self._workspaces[next(iter(self._workspaces))]
            # A normal tensor can be written to in inference mode; the reverse is an error.
            with torch.inference_mode(False):
                self._workspaces[key] = Workspace(self._layout, inputs, width)
        return self._workspaces[key]

    def _write_output(self, output: Tensor, room: Tensor) -> None:
        if self.softplus:
            room[0] = softplus(output[0])
            room[1:] = output[0].sigmoid() * output[1 : len(room)]
        else:
            room.copy_(output[: len(room)])

    def _write_adjoint(self, workspace: Workspace, direction: Tensor) -> None:
        """Start the reverse sweep from ⟨slope, direction⟩."""
        value, tangent = workspace.output
        of_value, of_tangent = workspace.output_adjoint
        if self.softplus:
            slope = value.sigmoid()
            torch.mul(slope, direction, out=of_tangent)
            torch.mul(of_tangent * (-value).sigmoid(), tangent, out=of_value)
        else:
            of_value.zero_()
            of_tangent.copy_(direction)

    def _by_tree(self, edges: Tensor) -> Tensor:
        """Return [P, N] from derivatives [edges] by the signed coefficients."""
        shape = (len(self.expressions), self.size)
        result = edges.new_zeros(math.prod(shape))
        result.index_copy_(0, self._layout.slots, edges * self._layout.signs)
        return result.view(shape)
