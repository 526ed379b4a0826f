"""How one optimizer step carries the validation gradient back to the training outputs.

With theta' = theta - U(g) and g = J^T c for a cotangent c = dM/df, a small change of c moves the
task loss by -<v, dU/dg J^T dc> = -<J w, dc>, where v is the task loss's gradient at theta' and
w = dU/dg v. A transport computes J w: everything about the network that a hypergradient needs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

from lossforge.training.network import Network
from lossforge.training.optimizers import Optimizer, State, Tensors

Batch = tuple[Tensor, Tensor]
"""inputs [B, ...] and targets [B] or [B, C]"""

Outer = Callable[[Tensor], Tensor]
"""Maps validation outputs [P, B, C] to the task losses' gradients with respect to them."""


@final
@dataclass(frozen=True)
class Start:
    """Where a step begins: a network, its parameters, its optimizer and that optimizer's state."""

    network: Network
    parameters: Tensors
    optimizer: Optimizer
    state: State


class Transport(ABC):
    """One optimizer step from one start, under P losses.

    Attributes:
        outputs: f(theta, inputs), [B, C], detached.
    """

    outputs: Tensor

    @abstractmethod
    def __init__(self, start: Start, inputs: Tensor):
        """Run the network on the training batch's `inputs`."""

    @abstractmethod
    def __call__(self, cotangents: Tensor, inputs: Tensor, outer: Outer) -> Tensor:
        """Return J w for each of P losses, [P, B, C].

        Args:
            cotangents: dM/df of each loss at `outputs`, [P, B, C].
            inputs: of the validation batch.
            outer: gives the task losses' gradients at the validation outputs.
        """
