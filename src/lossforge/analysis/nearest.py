"""Which known loss trains a network most as a given loss does.

Two losses train alike where their gradients with respect to the network's outputs are parallel: a
constant added changes nothing, a factor is a learning rate. So gradients are compared, on outputs
from guesses to confident predictions, with the factor fitted.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import final

import numpy as np
import torch
from torch import Tensor

from lossforge.losses import HANDCRAFTED, Handcrafted, Loss, default_loss
from lossforge.losses.handcrafted.base import Setting
from lossforge.randomness import torch_generator
from lossforge.tasks.kinds import Kind

ROWS = 900
SPREADS = (0.5, 1.0, 2.0)
"""deviations of logits, or of errors, that a third of the sample each has"""

LEAST_PROBABILITY = 0.02
"""of the target, below which a prediction is a confident mistake. Symbolic losses smooth log and
sqrt near zero: what a loss is called does not depend on that, and what it does there is told beside
it."""

GRID = 25
COARSE_GRID = 9
"""Values tried of a number, where it is the only one that is fitted and where there are several."""

AS_GOOD, AT_MOST, NEGLIGIBLE = 0.25, 0.004, 5e-4
"""A loss with fewer numbers is preferred to one with more if its residual is larger by no more than
this share of the other's, or at most this much, and this much besides."""


LEAST_UNLIKE, MUCH_BETTER = 0.004, 0.3
"""A mixture is looked for where the nearest known loss leaves more than this of the gradient, and
told where it leaves less than this share of that."""


@final
@dataclass(frozen=True)
class Match:
    """A known loss beside the one that is explained.

    Attributes:
        name: with its fitted parameter.
        residual: the part of the gradient, 0 to 1, that `factor` times the known loss's leaves.
        factor: by which its learning rate is multiplied.
        parameter: the first fitted number, None where there is none.
        options: all numbers of the known loss.
    """

    name: str
    residual: float
    factor: float
    parameter: float | None
    options: dict[str, float] = field(default_factory=dict)

    @property
    def known_loss(self) -> Handcrafted:
        """The known loss with its numbers."""
        make: Callable[..., Handcrafted] = HANDCRAFTED[self.name.partition(":")[0]]
        return make(**self.options)


@final
@dataclass(frozen=True)
class Mixture:
    """The sum of two known losses that trains as a loss does.

    Attributes:
        name: the sum, with its two factors.
        residual: the part of the gradient, 0 to 1, that the sum leaves.
        factors: of the two.
        other: the second one, with its fitted number.
    """

    name: str
    residual: float
    factors: tuple[float, float]
    other: str


def nearest(loss: Loss, classes: int = 10, *, with_mistakes: bool = False) -> list[Match]:
    """Return the known losses of a loss's kind, the best match first.

    Args:
        loss: any.
        classes: of the outputs on which gradients are compared (classification).
        with_mistakes: compare gradients at confident mistakes as well.

    Examples:
        >>> from lossforge.losses import SymbolicLoss
        >>> match = nearest(SymbolicLoss("7 - 6*y*log(2*p)"))[0]
        >>> match.name, round(match.factor, 2)
        ('cross_entropy', 6.0)
    """
    outputs, targets = sample(loss, classes, with_mistakes=with_mistakes)
    fit = _Fit(loss, gradient(loss, outputs, targets), outputs, targets)
    matches = [
        fit.match(known)
        for known in HANDCRAFTED.values()
        if loss.kind.shares_losses_with(known.of_kind)
    ]
    return _simplest_first(matches, loss.name if isinstance(loss, Handcrafted) else "")


def at_mistakes(loss: Loss, match: Match, classes: int = 10) -> float | None:
    """Return what a match leaves of a loss's gradient at confident mistakes, at the same factor.

    None for regression, and where there are no such predictions. It may be above 1.

    Args:
        loss: any.
        match: a known loss, fitted on other predictions.
        classes: of the outputs on which gradients are compared.

    Examples:
        >>> from lossforge.losses import CrossEntropy, SymbolicLoss
        >>> at_mistakes(CrossEntropy(), nearest(CrossEntropy())[0])
        0.0
        >>> loss = SymbolicLoss("-y*log(p + 0.01)")
        >>> 0.1 < at_mistakes(loss, nearest(loss)[0]) < 1
        True
    """
    if not loss.kind.predicts_probabilities:
        return None
    outputs, targets = sample(loss, classes, with_mistakes=True)
    mistaken = ~_is_ordinary(loss.kind, outputs, targets)
    if not bool(mistaken.any()):
        return None
    outputs, targets = outputs[mistaken], targets[mistaken]
    wanted = gradient(loss, outputs, targets)
    found = match.factor * gradient(match.known_loss, outputs, targets)
    size = wanted.norm()
    if not bool(size > 0) or not bool(wanted.isfinite().all()):
        return 1.0
    return float((wanted - found).norm() / size)


def mixture(loss: Loss, best: Match, classes: int = 10) -> Mixture | None:
    """Return the mixture that explains a loss much better than any single known loss, if one does.

    It is of the default loss or the nearest known one, and another known one.

    Args:
        loss: any.
        best: the nearest known loss.
        classes: of the outputs on which gradients are compared (classification).

    Examples:
        >>> from lossforge.losses import SymbolicLoss
        >>> loss = SymbolicLoss("-3*y*log(p) + 2*square(y - p)")
        >>> mixture(loss, nearest(loss)[0]).name
        '3·cross_entropy + 2·squared_probability'
    """
    if best.residual < LEAST_UNLIKE:
        return None
    outputs, targets = sample(loss, classes)
    fit = _Fit(loss, gradient(loss, outputs, targets), outputs, targets)
    default, near = default_loss(loss.kind), best.known_loss
    bases = [default, *([near] if type(near) is not type(default) else [])]
    found = [
        fit.mixture(base, known)
        for base in bases
        for known in HANDCRAFTED.values()
        if loss.kind.shares_losses_with(known.of_kind)
        and known not in {type(default), type(base)}
        and len(known.settings) < 2
    ]
    if not found:
        return None
    closest = min(found, key=lambda each: each.residual)
    good = min(closest.factors) > 0 and closest.residual < MUCH_BETTER * best.residual
    return closest if good else None


def _known(loss: Loss) -> list[type[Handcrafted]]:
    """Return the handcrafted losses for the tasks of a loss."""
    known = HANDCRAFTED.values()
    return [each for each in known if loss.kind.shares_losses_with(each.of_kind)]


def ties(matches: Sequence[Match]) -> list[Match]:
    """Return the matches after the first that fit as well: where losses are one up to a factor."""
    best = matches[0].residual
    return [match for match in matches[1:] if match.residual <= best + NEGLIGIBLE]


def sample(loss: Loss, classes: int, *, with_mistakes: bool = False) -> tuple[Tensor, Tensor]:
    """Return outputs and targets, float64, on which losses are compared.

    Classification: outputs [B, classes] and labels, confident mistakes left out unless they are
    asked for; regression: [B, 1] and values.
    """
    draw = torch_generator(0, "explanations")
    spread = torch.tensor(SPREADS, dtype=torch.double).repeat(ROWS // len(SPREADS))[:, None]
    if loss.kind.predicts_probabilities:
        outputs = spread * torch.randn(ROWS, classes, generator=draw, dtype=torch.double)
        targets = torch.randint(classes, (ROWS,), generator=draw)
        if with_mistakes:
            return outputs, targets
        kept = _is_ordinary(loss.kind, outputs, targets)
        return outputs[kept], targets[kept]
    targets = torch.randn(ROWS, 1, generator=draw, dtype=torch.double)
    errors = spread * torch.randn(ROWS, 1, generator=draw, dtype=torch.double)
    return targets + errors, targets


def least_probability(classes: int) -> float:
    """Return the target's probability below which a prediction is a confident mistake.

    Examples:
        >>> least_probability(10), least_probability(100)
        (0.02, 0.002)
    """
    return LEAST_PROBABILITY / max(1, classes / 10)


def _is_ordinary(kind: Kind, outputs: Tensor, targets: Tensor) -> Tensor:
    """Tell of each prediction whether it is no confident mistake, bool [B]."""
    rows, classes = outputs.shape
    believed = kind.predictions(outputs)[torch.arange(rows), targets]
    return believed > least_probability(classes)


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


@final
@dataclass(frozen=True)
class _Fit:
    """Fits known losses to a loss whose gradient on outputs [B, C] and targets is `wanted`."""

    loss: Loss
    wanted: Tensor
    outputs: Tensor
    targets: Tensor

    def match(self, known: type[Handcrafted]) -> Match:
        """Return the known loss whose gradient is most alike."""
        settings = [setting for setting in known.settings if setting.low is not None]
        options = self._options(known) | self._fitted(known, settings)
        residual, factor = self._measured(known, options)
        parameter = options[settings[0].name] if settings else None
        return Match(_spec(known, options), residual, factor, parameter, options)

    def mixture(self, base: Handcrafted, known: type[Handcrafted]) -> Mixture:
        """Return the best sum of positive multiples of a loss and a known one."""
        make: Callable[..., Handcrafted] = known
        first = gradient(base, self.outputs, self.targets)

        def summed(options: dict[str, float]) -> tuple[float, tuple[float, float]]:
            second = gradient(make(**options), self.outputs, self.targets)
            return compare_sum(self.wanted, first, second)

        options: dict[str, float] = {}
        if known.settings:
            axis = _Axis.of(known.settings[0])
            at = _line_search(axis, lambda at: summed({axis.name: axis.value(at[0])})[0])
            options = {axis.name: axis.value(at[0])}
        residual, factors = summed(options)
        other = _spec(known, options)
        name = f"{factors[0]:.3g}·{base} + {factors[1]:.3g}·{other}"
        return Mixture(name, residual, factors, other)

    def _options(self, known: type[Handcrafted]) -> dict[str, float]:
        """Return a known loss's numbers before those to be fitted are."""
        return (self.loss if isinstance(self.loss, known) else known()).options()

    def _measured(self, known: type[Handcrafted], options: dict[str, float]) -> tuple[float, float]:
        make: Callable[..., Handcrafted] = known
        slope = gradient(make(**options), self.outputs, self.targets)
        return compare(self.wanted, slope)

    def _fitted(self, known: type[Handcrafted], settings: Sequence[Setting]) -> dict[str, float]:
        if not settings:
            return {}
        axes = [_Axis.of(setting) for setting in settings]

        def numbers(at: Sequence[float]) -> dict[str, float]:
            return {axis.name: axis.value(place) for axis, place in zip(axes, at, strict=True)}

        def residual(at: Sequence[float]) -> float:
            return self._measured(known, self._options(known) | numbers(at))[0]

        found = _line_search(axes[0], residual) if len(axes) == 1 else _box_search(axes, residual)
        return numbers(found)


@final
@dataclass(frozen=True)
class _Axis:
    """A number's way from the least to the greatest value that is tried, as 0 to 1 or by logs."""

    name: str
    start: float
    stop: float
    logarithmic: bool

    @classmethod
    def of(cls, setting: Setting) -> "_Axis":
        assert setting.low is not None
        assert setting.high is not None
        low, high = setting.low, setting.high
        if setting.logarithmic:
            low, high = math.log(low), math.log(high)
        return cls(setting.name, low, high, setting.logarithmic)

    def value(self, place: float) -> float:
        """Return the number at a place."""
        return float(math.exp(place)) if self.logarithmic else float(place)

    def places(self, count: int) -> list[float]:
        """Return evenly spaced places."""
        return [float(place) for place in np.linspace(self.start, self.stop, count)]


def _line_search(axis: _Axis, residual: Callable[[Sequence[float]], float]) -> list[float]:
    grid = axis.places(GRID)
    best = int(np.argmin([residual([place]) for place in grid]))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)])
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda place: residual([place]), bounds=bounds, method="bounded", options={"xatol": 1e-5}
    )
    return [float(found.x)]


def _box_search(axes: Sequence[_Axis], residual: Callable[[Sequence[float]], float]) -> list[float]:
    start = min(product(*(axis.places(COARSE_GRID) for axis in axes)), key=residual)
    from scipy.optimize import minimize

    found = minimize(
        residual,
        start,
        method="Nelder-Mead",
        bounds=[(axis.start, axis.stop) for axis in axes],
        options={"xatol": 1e-5, "fatol": 1e-7, "maxfev": 300},
    )
    return [float(place) for place in found.x]


def compare_sum(wanted: Tensor, first: Tensor, second: Tensor) -> tuple[float, tuple[float, float]]:
    """Return what is left of `wanted` beside the best sum of two gradients, and their factors.

    A residual of 1 where a factor is not positive: one of them alone does as well.
    """
    size = wanted.norm()
    if not bool(size > 0) or not bool(wanted.isfinite().all()):
        return 1.0, (0.0, 0.0)
    both = torch.stack([first.flatten(), second.flatten()], 1)
    factors = torch.linalg.lstsq(both, wanted.flatten()[:, None]).solution[:, 0]
    if not bool((factors > 0).all()):
        return 1.0, (0.0, 0.0)
    residual = float((wanted.flatten() - both @ factors).norm() / size)
    return residual, (float(factors[0]), float(factors[1]))


def _spec(known: type[Handcrafted], options: dict[str, float]) -> str:
    text = ",".join(f"{name}={value:.3g}" for name, value in options.items())
    return f"{known.name}:{text}" if text else known.name


def compare(wanted: Tensor, known: Tensor) -> tuple[float, float]:
    """Return what is left of `wanted` beside the best positive multiple of `known`, and the factor.

    A residual of 0 says parallel, 1 that nothing is shared, or that the signs are opposite.
    """
    size = wanted.norm()
    if not bool(size > 0) or not bool(wanted.isfinite().all()):
        return 1.0, 0.0
    factor = ((wanted * known).sum() / known.square().sum().clamp_min(1e-300)).clamp_min(0)
    return float((wanted - factor * known).norm() / size), float(factor)


def _simplest_first(matches: Sequence[Match], own: str) -> list[Match]:
    """Order by residual, but begin with the one of fewest numbers that is as good as the best.

    Where several are as good and as simple, known losses that are the same up to a factor, the one
    that the loss is itself (`own`) comes first, else the one that is registered first.
    """
    least = min(match.residual for match in matches)
    good = [m for m in matches if m.residual <= least + min(AS_GOOD * least, AT_MOST) + NEGLIGIBLE]
    simplest = min(len(match.options) for match in good)
    simple = [match for match in good if len(match.options) == simplest]
    closest = min(match.residual for match in simple)
    mine = [m for m in good if m.name.partition(":")[0] == own and m.residual <= least + NEGLIGIBLE]
    first = next(iter([*mine, *(m for m in simple if m.residual <= closest + NEGLIGIBLE)]))
    rest = sorted((match for match in matches if match is not first), key=lambda m: m.residual)
    return [first, *rest]
