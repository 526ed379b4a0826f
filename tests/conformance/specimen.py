"""A network to differentiate, with a batch for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Generator, Tensor, nn

Inputs = Tensor | Mapping[str, Tensor]
Batch = tuple[Inputs, Tensor]


@dataclass(frozen=True)
class Specimen:
    """A network, a batch for it, and what makes it hard.

    `batch` draws inputs and integer targets; the network's logits have their classes at
    `class_dim`, and the other dimensions are those of the targets. `small` says that float64
    central differences over all weights are affordable. `requires` names packages to import.
    `float64` says that it computes in float64 throughout when its weights are in float64.

    `no_forward_mode` and `no_double_backward` name what stands in the way in PyTorch 2.13 (an
    operator, or a reason), and are empty where both work with attention by the math backend.
    Forward mode means a tangent along directions that are zero wherever the gradient always is:
    tangents pass through padding words and no_grad blocks, and gradients do not. Double backward
    means the derivative of the weights' gradient with respect to the loss's parameters.
    """

    name: str
    why: str
    build: Callable[[], nn.Module]
    batch: Callable[[Generator], Batch]
    classes: int = 3
    class_dim: int = 1
    small: bool = False
    requires: tuple[str, ...] = ()
    float64: bool = True
    no_forward_mode: str = ""
    no_double_backward: str = ""

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"{self.name}: classes must be at least 2")

    def __str__(self) -> str:
        return self.name


def read_logits(outputs: Any) -> Tensor:
    """The logits in a network's outputs: a tensor, `.logits`, `["logits"]` or the first item."""
    if isinstance(outputs, Tensor):
        return outputs
    if hasattr(outputs, "logits"):
        return outputs.logits
    return outputs["logits"] if isinstance(outputs, Mapping) else outputs[0]


def run_network(network: nn.Module, inputs: Inputs) -> Any:
    """A forward pass; a mapping is passed as keyword arguments."""
    return network(**inputs) if isinstance(inputs, Mapping) else network(inputs)
