"""Filters that judge a candidate for a thousandth of what training under it costs.

Gradient equivalence: losses with equal slopes on a fixed sample train networks alike and share a
fitness. Rejection protocol: a loss that does not improve predictions which are optimized directly
under it cannot train a network. Both judge a loss before local search, which moves its coefficients
little.

Source: thesis, ch. 4 (loss function filters); Gonzalez & Miikkulainen 2020; Liu et al. 2021.
"""

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, final

import torch
from torch import Tensor

from lossforge.losses import LossPopulation, SymbolicLoss, SymbolicPopulation
from lossforge.randomness import derive_seed, torch_generator
from lossforge.searching import OptionName, Problem
from lossforge.tasks import Kind
from lossforge.tasks.kinds import MultiLabel
from lossforge.tasks.metrics.one_vs_rest import problems_of
from lossforge.training import Adam
from lossforge.validation import require_in_range

SIGNIFICANT_FIGURES = 2
SPREAD = 2.0
"""standard deviation of the outputs on which slopes are compared: from ties to certainty"""

RARE = 10
"""times as many rows are judged where rare classes count, of which a sample has few"""

LEAST_GAIN = 1e-3
"""of a class's margin, relative to the greatest; balanced weights make up for so rare a class"""

PREDICTION_RATE = 0.01
"""learning rate of Adam on predictions; the published code takes the base network's"""


@final
@dataclass(frozen=True)
class Filters:
    """The filters that candidates pass before anything is trained.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    rows: Annotated[int, OptionName("filter_rows")] = 100
    """predictions in the samples on which the filters judge a loss"""
    rejection_steps: Annotated[int, OptionName("filter_steps")] = 1000
    """steps of Adam on predictions in the rejection protocol, which rejects losses that do not
    improve them; 0 turns it off"""
    gradient_equivalence: Annotated[bool, OptionName("gradient_filter")] = True
    """let losses with equal gradients share one fitness run"""
    resample: Annotated[int, OptionName("redraws", alias="resample")] = 0
    """attempts to resample offspring that a filter rejected (not in the paper)"""

    def __post_init__(self) -> None:
        require_in_range("filter_rows", self.rows, 1)
        require_in_range("filter_steps", self.rejection_steps, 0)
        require_in_range("redraws", self.resample, 0)


@final
@dataclass(frozen=True)
class Sample:
    """Predictions and targets on which losses are judged.

    Attributes:
        outputs: [B, C, ...].
        targets: of the kind of the task.
    """

    outputs: Tensor
    targets: Tensor


def fresh_predictions(problem: Problem, rows: int, seed: int) -> Sample:
    """Return the outputs of a newly initialized network for some training rows."""
    return _fresh(problem, rows, 1, seed)


def fresh_predictions_of_all_classes(problem: Problem, rows: int, seed: int) -> Sample:
    """Return the same of `RARE` times as many predictions, of which positions count each."""
    positions = problem.task.train.targets[0].numel()
    return _fresh(problem, rows, max(1, RARE // positions), seed)


def _fresh(problem: Problem, rows: int, times: int, seed: int) -> Sample:
    batches = problem.batches(problem.task.train, rows, derive_seed(seed, "sample"))
    network = problem.network(derive_seed(seed, "sample"))
    parameters, found = network.parameters(), list[Sample]()
    for _ in range(times):  # one after the other: images may be large
        inputs, targets = batches.draw()
        with torch.no_grad():
            found.append(Sample(network(parameters, inputs, train=False), targets))
    # Batches that were padded to different lengths cannot stand in one sample.
    alike = [each for each in found if each.outputs.shape[1:] == found[0].outputs.shape[1:]]
    return Sample(
        torch.cat([each.outputs for each in alike]), torch.cat([each.targets for each in alike])
    )


def spread_predictions(problem: Problem, rows: int, seed: int) -> Sample:
    """Return random outputs, from ties to certainty, for some training rows, in float64."""
    fresh = fresh_predictions(problem, rows, seed)
    generator = torch_generator(seed, "spread")
    outputs = SPREAD * torch.randn(fresh.outputs.shape, generator=generator, dtype=torch.float64)
    targets = fresh.targets.cpu()
    return Sample(outputs, targets.double() if targets.is_floating_point() else targets)


def gradient_keys(losses: Sequence[SymbolicLoss], sample: Sample) -> list[str | None]:
    """Return a key for each loss, equal where slopes are, to two significant figures.

    Args:
        losses: to compare.
        sample: in float64.

    Returns:
        A key; None where a slope is not finite or zero throughout: no network learns from it.
    """
    double = SymbolicPopulation([deepcopy(loss).double() for loss in losses])
    slopes = double.slope(sample.outputs, sample.targets)
    return [_key(slope) for slope in slopes]


def improves_predictions(
    losses: LossPopulation, sample: Sample, kind: Kind, steps: int
) -> list[bool]:
    """Return which losses improve the metric when predictions are optimized directly under them.

    Args:
        losses: P candidates.
        sample: outputs of a newly initialized network.
        kind: of the task.
        steps: of Adam.
    """
    outputs = _optimized(losses, sample, steps)
    before = kind.scores(sample.outputs, sample.targets).mean(-1)
    after = kind.scores(outputs, sample.targets).mean(-1)
    improved: list[bool] = (after < before).tolist()  # NaN improves nothing
    return improved


def improves_every_class(
    losses: LossPopulation, sample: Sample, kind: Kind, steps: int
) -> list[bool]:
    """Return which losses raise the mean margin of every class of predictions that descend them.

    A loss that only pushes towards a frequent class improves the error rate, and not a metric in
    which rare classes count; nothing in training under it brings them back. Steps are those of
    gradient descent, of one size for all losses, since Adam makes the faintest pull a strong one.
    Not in the papers.

    Args:
        losses: P candidates.
        sample: outputs of a newly initialized network; classes without rows in it do not count.
        kind: of the task, of classes or labels.
        steps: of gradient descent.
    """
    outputs = sample.outputs.expand(len(losses), *sample.outputs.shape).contiguous()
    size = losses.slope(outputs, sample.targets).flatten(1).square().mean(1).sqrt()
    rate = (PREDICTION_RATE / size).view(-1, *[1] * sample.outputs.dim())
    for _ in range(steps):
        outputs = outputs - rate * losses.slope(outputs, sample.targets)
    before = _margins(kind, sample.outputs[None], sample.targets)
    gains = _margins(kind, outputs, sample.targets) - before
    improved: list[bool] = (gains > LEAST_GAIN * gains.amax(1, keepdim=True).abs()).all(1).tolist()
    return improved


def _optimized(losses: LossPopulation, sample: Sample, steps: int) -> Tensor:
    """Return the predictions of a sample after steps of Adam under each loss, [P, B, C, ...]."""
    adam = Adam(PREDICTION_RATE)
    outputs = sample.outputs.expand(len(losses), *sample.outputs.shape).contiguous()
    state = adam.init([outputs])
    for _ in range(steps):
        slope = losses.slope(outputs, sample.targets)
        (outputs,), state = adam.step([outputs], [slope], state)
    return outputs


def _margins(kind: Kind, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean margins of the rows of each class, and of label's absence, [P, G]."""
    problems = problems_of(kind, outputs, targets)
    found = [problem.margins[:, problem.truth] for problem in problems]
    if len(problems) == 1 or isinstance(kind, MultiLabel):
        found += [-problem.margins[:, ~problem.truth] for problem in problems]
    return torch.stack([margins.mean(1) for margins in found if margins.shape[1]], 1)


def _key(slope: Tensor) -> str | None:
    scale = slope.abs().max()
    if not bool(scale.isfinite()) or scale == 0:
        return None
    magnitude = slope.abs().clamp_min(1e-12 * float(scale)).log10().floor()
    unit = 10 ** (magnitude - SIGNIFICANT_FIGURES + 1)
    rounded = (slope / unit).round().to(torch.int64)
    # Below a millionth of the largest slope there is only rounding.
    rounded[slope.abs() < 1e-6 * scale] = 0
    digits = torch.stack([rounded, magnitude.to(torch.int64)])
    digits[1][rounded == 0] = 0
    return hashlib.blake2b(digits.numpy().tobytes(), digest_size=16).hexdigest()
