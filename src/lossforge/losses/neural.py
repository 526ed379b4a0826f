"""Losses that are small networks: ML3's, learned offline, and AdaLFL's, which adapts online.

Source: Bechtle et al. 2021 (ML3); thesis, ch. 6 (AdaLFL).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Literal, Unpack, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.losses.handcrafted import default_loss
from lossforge.losses.loss import LabelOptions, Loss, Reduction
from lossforge.losses.parametric import FORMS, ParametricLoss
from lossforge.tasks.kinds import Kind
from lossforge.validation import require

Activation = Literal["relu", "softplus", "smooth_leaky_relu"]

LEAK, SHARPNESS = 0.01, 10.0


def smooth_leaky_relu(x: Tensor, leak: float = LEAK, sharpness: float = SHARPNESS) -> Tensor:
    """Return leak·x + (1 - leak)·softplus(sharpness·x) / sharpness, elementwise.

    Source: thesis, Eq. (6.4) ff.

    Examples:
        >>> smooth_leaky_relu(torch.tensor([-10.0, 10.0]))
        tensor([-0.1000, 10.0000])
    """
    return leak * x + (1 - leak) * F.softplus(x, beta=sharpness)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "softplus": F.softplus,
    "smooth_leaky_relu": smooth_leaky_relu,
}


@final
@dataclass(frozen=True)
class Architecture:
    """The form of a loss network: (y, p) of one output in, its loss out, no biases.

    Attributes:
        hidden: widths of the hidden layers.
        activation: of the hidden layers.
        output: activation of the output.
        average: whether outputs are averaged; else their losses are summed.
        residual: whether the default loss, times a scale, is added to the network's, which then
            begins as nothing. A network of p alone cannot grow as steep as log p, and gives up
            classes whose p is near 0.
        form: the handcrafted loss with a number to learn that stands in the default loss's place in
            a residual loss, one of `lossforge.losses.parametric.FORMS`; empty for none.
    """

    hidden: tuple[int, ...] = (50, 50)
    activation: Activation = "relu"
    output: Activation = "softplus"
    average: bool = False
    residual: bool = False
    form: str = ""

    def __post_init__(self) -> None:
        require(
            len(self.hidden) > 0 and all(width >= 1 for width in self.hidden),
            f"hidden must be widths of 1 or more, not {self.hidden}",
        )
        require(
            not self.form or (self.residual and self.form in FORMS),
            f"form must be one of {', '.join(FORMS)}, in a residual loss, not {self.form!r}",
        )
        for name in (self.activation, self.output):
            require(
                name in ACTIVATIONS,
                f"activation must be one of {', '.join(ACTIVATIONS)}, not {name!r}",
            )


ML3_NETWORK = Architecture()
ADALFL_NETWORK = Architecture((40, 40), "smooth_leaky_relu", "smooth_leaky_relu", average=True)


@final
class NeuralLoss(Loss):
    """A network of (y, p), applied to each output; plus the default loss where it is residual.

    Args:
        architecture: of the network.
        generator: draws the weights, by default one seeded with 0. They are parameters that ask
            for gradients only when told to (``requires_grad_``), so that training loops leave
            them alone.
        kind: of the tasks, one of `lossforge.tasks.kinds` or its name.
        reduction: as in PyTorch.
        labels: `weight` and `ignore_index`, as of every loss.

    Examples:
        >>> loss = NeuralLoss(ML3_NETWORK)
        >>> print(loss)
        network 2-50-50-1, relu, softplus
        >>> loss(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([])
    """

    def __init__(
        self,
        architecture: Architecture = ML3_NETWORK,
        generator: torch.Generator | None = None,
        *,
        kind: Kind | str = "classification",
        reduction: Reduction = "mean",
        **labels: Unpack[LabelOptions],
    ):
        super().__init__(kind, reduction, **labels)
        self.architecture = architecture
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        self._is_left_out = False
        self.layers = nn.ParameterList(
            nn.Parameter(
                nn.init.xavier_uniform_(torch.empty(after, before), generator=generator),
                requires_grad=False,
            )
            for before, after in pairwise(self._widths())
        )
        if architecture.residual:
            nn.init.zeros_(self.layers[-1])
            self.log_scale = nn.Parameter(torch.zeros(()), requires_grad=False)
            self.usual: Loss = (
                ParametricLoss(architecture.form, self.kind).requires_grad_(False)
                if architecture.form
                else default_loss(self.kind)
            )

    @torch.no_grad()
    def set_scale(self, scale: float) -> None:
        """Set the scale of the default loss in a residual loss."""
        self.log_scale.fill_(math.log(scale))

    def set_number(self, value: float) -> None:
        """Set the number of the handcrafted loss that a residual loss has by its form."""
        self._parametric.set_number(value)

    def numbers(self) -> dict[str, float]:
        """Return scale and number of a residual loss by name; nothing where there are none.

        Examples:
            >>> found = NeuralLoss(Architecture(residual=True, form="label_smoothing")).numbers()
            >>> {name: round(value, 6) for name, value in found.items()}
            {'scale': 1.0, 'smoothing': 0.02}
        """
        if not self.architecture.residual:
            return {}
        scale = {"scale": self.log_scale.exp().item()}
        return scale | (self._parametric.numbers() if self.architecture.form else {})

    @contextmanager
    def constant_left_out(self) -> Iterator[None]:
        """Leave the network out inside the block where it is a constant, which teaches nothing.

        A residual loss's network is one before it has learned. What it would learn is not found
        inside the block.
        """
        self._is_left_out = self.architecture.residual and not bool(self.layers[-1].any())
        try:
            yield
        finally:
            self._is_left_out = False

    @property
    def _parametric(self) -> ParametricLoss:
        assert isinstance(self.usual, ParametricLoss)
        return self.usual

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each row, [N]."""
        if self._is_left_out:
            return self.log_scale.exp() * self.usual.per_row(outputs, targets)
        p = self.kind.predictions(outputs)
        values = self._network(self.kind.encode(targets, outputs), p)
        values = values.mean(1) if self.architecture.average else values.sum(1)
        if not self.architecture.residual:
            return values
        return values + self.log_scale.exp() * self.usual.per_row(outputs, targets)

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        """Return the loss of each output, shaped like `p`."""
        values = self._network(y, p)
        if not self.architecture.residual:
            return values
        scale = self.log_scale.exp()
        if self.architecture.form:
            return values + scale * self._parametric.elementwise(y, p)
        return values + scale * self.kind.default_values(y, p)

    def _network(self, y: Tensor, p: Tensor) -> Tensor:
        *hidden, last = self.layers
        x = torch.stack([y, p], dim=-1)
        for weights in hidden:
            x = ACTIVATIONS[self.architecture.activation](x @ weights.to(x.dtype).T)
        return ACTIVATIONS[self.architecture.output]((x @ last.to(x.dtype).T).squeeze(-1))

    def definition(self) -> dict[str, object]:
        """Return the network's form; its weights are kept beside it."""
        form = asdict(self.architecture)
        if not form["form"]:  # files without it mean the same to earlier versions
            del form["form"]
        return {"type": "neural", "kind": self.kind.name, **form, "hidden": list(form["hidden"])}

    def weights(self) -> dict[str, Tensor]:
        """Return the weights by layer."""
        return {name: weights.detach() for name, weights in self.state_dict().items()}

    def __str__(self) -> str:
        """Return the network's form in a line."""
        widths = "-".join(map(str, self._widths()))
        form = self.architecture
        average = ", averaged" if form.average else ""
        network = f"network {widths}, {form.activation}, {form.output}{average}"
        if not form.residual:
            return network
        usual = str(self.usual).removeprefix("adaptive:")
        return f"{self.log_scale.exp():.3g} {usual} + {network}"

    def _widths(self) -> list[int]:
        return [2, *self.architecture.hidden, 1]
