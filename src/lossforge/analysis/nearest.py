"""Which known loss trains a network most as a given loss does.

Two losses train alike where their gradients with respect to the network's outputs are parallel: a
constant added changes nothing, a factor is a learning rate. So gradients are compared, on outputs
from guesses to confident predictions, with the factor fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from lossforge.analysis.forms import FORMS, Form
from lossforge.losses import Loss
from lossforge.losses.preparation import encode_targets, predictions
from lossforge.randomness import torch_generator

ROWS = 900
SPREADS = (0.5, 1.0, 2.0)
"""deviations of logits, or of errors, that a third of the sample each has"""

LEAST_PROBABILITY = 0.02
"""of the target. Symbolic losses smooth log and sqrt near zero: a loss is not told by that, and
`behaviour` reports it on its own."""

GRID = 25
AS_GOOD, AT_MOST, NEGLIGIBLE = 0.25, 0.004, 5e-4
"""A loss without a parameter is preferred to one with one if its residual is larger by no more than
this share of the other's, or at most this much, and this much besides."""


@final
@dataclass(frozen=True)
class Match:
    """A known loss beside the one that is explained.

    Attributes:
        name: with its fitted parameter.
        residual: the part of the gradient, 0 to 1, that `factor` times the known loss's leaves.
        factor: by which its learning rate is multiplied.
        parameter: the fitted number, None where there is none.
    """

    name: str
    residual: float
    factor: float
    parameter: float | None


def nearest(loss: Loss, classes: int = 10) -> list[Match]:
    """Return the known losses of a loss's kind, the best match first.

    Args:
        loss: any.
        classes: of the outputs on which gradients are compared (classification).

    Examples:
        >>> from lossforge.losses import SymbolicLoss
        >>> match = nearest(SymbolicLoss("7 - 6*y*log(2*p)"))[0]
        >>> match.name, round(match.factor, 2)
        ('cross_entropy', 6.0)
    """
    outputs, targets = sample(loss, classes)
    wanted = gradient(loss, outputs, targets)
    y = encode_targets(targets, outputs, loss.kind)
    forms = [form for form in FORMS if form.kind == loss.kind]
    matches = [_fit(form, wanted, outputs, y) for form in forms]
    matches.sort(key=lambda match: match.residual)
    return _simplest_first(matches)


def sample(loss: Loss, classes: int) -> tuple[Tensor, Tensor]:
    """Return outputs and targets, float64, on which losses are compared.

    Classification: outputs [B, classes] and labels; regression: [B, 1] and values.
    """
    draw = torch_generator(0, "explanations")
    spread = torch.tensor(SPREADS, dtype=torch.double).repeat(ROWS // len(SPREADS))[:, None]
    if loss.kind == "classification":
        outputs = spread * torch.randn(ROWS, classes, generator=draw, dtype=torch.double)
        targets = torch.randint(classes, (ROWS,), generator=draw)
        believed = predictions(outputs, "classification")
        kept = believed[torch.arange(ROWS), targets] > LEAST_PROBABILITY / max(1, classes / 10)
        return outputs[kept], targets[kept]
    targets = torch.randn(ROWS, 1, generator=draw, dtype=torch.double)
    errors = spread * torch.randn(ROWS, 1, generator=draw, dtype=torch.double)
    return targets + errors, targets


def gradient(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the derivative of each row's loss with respect to its outputs, [B, C]."""
    leaf = outputs.detach().requires_grad_()
    with torch.enable_grad():
        total = loss.to(outputs.dtype).per_example(leaf, targets).sum()
        if not total.requires_grad:
            return torch.zeros_like(outputs)  # a constant
        (slope,) = torch.autograd.grad(total, leaf)
    found: Tensor = slope
    return found


def form_gradient(form: Form, value: float, outputs: Tensor, y: Tensor) -> Tensor:
    """Return the same derivative of a known loss."""
    leaf = outputs.detach().requires_grad_()
    with torch.enable_grad():
        total = form.function(y, predictions(leaf, form.kind), value).sum()
        (slope,) = torch.autograd.grad(total, leaf)
    found: Tensor = slope
    return found


def _fit(form: Form, wanted: Tensor, outputs: Tensor, y: Tensor) -> Match:
    def measured(value: float) -> tuple[float, float]:
        return compare(wanted, form_gradient(form, value, outputs, y))

    if not form.parameter:
        residual, factor = measured(0.0)
        return Match(form.name, residual, factor, None)
    scale = (np.log, np.exp) if form.logarithmic else (float, float)
    grid = np.linspace(scale[0](form.low), scale[0](form.high), GRID)
    residuals = [measured(scale[1](at))[0] for at in grid]
    best = int(np.argmin(residuals))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)])
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda at: measured(scale[1](at))[0],
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-5},
    )
    value = float(scale[1](found.x))
    residual, factor = measured(value)
    return Match(form.spec(value), residual, factor, value)


def compare(wanted: Tensor, known: Tensor) -> tuple[float, float]:
    """Return what is left of `wanted` beside the best positive multiple of `known`, and the factor.

    A residual of 0 says parallel, 1 that nothing is shared, or that the signs are opposite.
    """
    size = wanted.norm()
    if not bool(size > 0) or not bool(wanted.isfinite().all()):
        return 1.0, 0.0
    factor = ((wanted * known).sum() / known.square().sum().clamp_min(1e-300)).clamp_min(0)
    return float((wanted - factor * known).norm() / size), float(factor)


def _simplest_first(matches: Sequence[Match]) -> list[Match]:
    """Move a match without a parameter to the front if it is as good as the best."""
    best = matches[0].residual
    threshold = best + min(AS_GOOD * best, AT_MOST) + NEGLIGIBLE
    simple = [m for m in matches if m.parameter is None and m.residual <= threshold]
    return [*simple[:1], *(match for match in matches if match not in simple[:1])]
