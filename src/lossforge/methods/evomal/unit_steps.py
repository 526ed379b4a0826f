"""The size and direction of a candidate's first steps, relative to the default loss's.

Losses that differ by a factor train alike at rates that differ by its inverse, so a search that
compares losses at one rate selects those with the luckiest factor. Divided by the size of its
gradient at fresh predictions, a candidate has none; and one that leads away from the targets leads
to them when its sign is changed.

Not in the papers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from lossforge.losses import Loss, SymbolicLoss, SymbolicPopulation, default_loss
from lossforge.methods.evomal.filters import SPREAD, Sample, fresh_predictions
from lossforge.methods.evomal.genome import Genome
from lossforge.randomness import torch_generator
from lossforge.searching import BaseTraining, Fitness, Problem, SearchContext
from lossforge.searching.fitness_work import FitnessJob
from lossforge.tasks import Kind

LEAST_COSINE = 0.05
"""between the gradients of a candidate and of the default loss; nearer to a right angle, a
candidate's direction is unknown"""

LARGEST = 1e3
"""factor on a candidate; one that needs more lives on differences that rounding may take away"""

STEEPEST = 50.0
"""how many times as steep as at fresh predictions a loss may be anywhere; one with a pole, such as
the logarithm of a difference, throws some networks out of their course, and others not"""

SPREAD_ROWS = 2000
"""random predictions, from ties to certainty, among which poles are looked for"""

FACTOR = 3.0
"""between neighboring factors on the default loss"""

POWERS = (0, 1, 2, 3, 4)
"""of `FACTOR`, tried first; more while the best is the least or the greatest"""

FARTHEST = 9
"""greatest power that is tried, up and down"""


@final
@dataclass(frozen=True)
class UnitSteps:
    """Measures candidates against the default loss at fresh predictions.

    Attributes:
        samples: fresh predictions of each task's network.
        spread: random predictions, from ties to certainty, for each task.
    """

    samples: tuple[Sample, ...]
    spread: tuple[Sample, ...] = ()

    @classmethod
    def of(cls, problems: Sequence[Problem], rows: int, seed: int) -> "UnitSteps":
        """Return the measure for the networks of a search."""
        samples = tuple(fresh_predictions(problem, rows, seed) for problem in problems)
        return cls(samples, tuple(_spread(sample, seed) for sample in samples))

    def factors(self, losses: Sequence[SymbolicLoss]) -> list[float | None]:
        """Return the factor that makes each loss's first steps as large as the default loss's.

        It is negative where the loss leads away from the targets, and None where the loss has no
        finite gradient, one across the default loss's, or a pole.
        """
        if not losses:
            return []
        device = self.samples[0].outputs.device
        population = SymbolicPopulation(losses, device)
        default = weighted_default(losses[0].kind, losses[0].weight)
        sizes, cosines = [], []
        for sample in self.samples:
            theirs = _slope(default, sample)
            slopes = population.slope(sample.outputs, sample.targets).double().flatten(1)
            norms = slopes.norm(dim=1)
            sizes.append((norms / theirs.norm()).log())
            cosines.append(slopes @ theirs / (norms * theirs.norm()))
        size = torch.stack(sizes).mean(0).exp()
        cosine = torch.stack(cosines).mean(0)
        return [
            None if is_steep else _factor(*pair)
            for *pair, is_steep in zip(
                size.tolist(), cosine.tolist(), self._are_steep(population), strict=True
            )
        ]

    def _are_steep(self, losses: SymbolicPopulation) -> list[bool]:
        """Tell which losses are far steeper somewhere than at fresh predictions."""
        steep = torch.zeros(len(losses), dtype=torch.bool, device=losses.coefficients.device)
        for sample, spread in zip(self.samples, self.spread, strict=False):
            usual = losses.slope(sample.outputs, sample.targets) * len(sample.outputs)
            found = losses.slope(spread.outputs, spread.targets) * len(spread.outputs)
            size = usual.flatten(1).square().mean(1).sqrt()
            steep |= found.flatten(1).abs().amax(1) > STEEPEST * size
        flags: list[bool] = steep.tolist()
        return flags

    @staticmethod
    def resized(genome: Genome, scale: float) -> Genome:
        """Return a genome that was scaled with another scale.

        Raises:
            AssertionError: it has none.
        """
        assert genome.scale is not None
        return replace(_with_root(genome, scale / genome.scale), scale=scale)

    def scaled(self, genomes: Sequence[Genome], losses: Sequence[SymbolicLoss]) -> list[Genome]:
        """Return genomes whose first steps are `scale` times the default loss's.

        Those without a scale or a usable gradient are left out.

        Args:
            genomes: to scale.
            losses: that they stand for.
        """
        return [
            _with_root(genome, factor * genome.scale)
            for genome, factor in zip(genomes, self.factors(losses), strict=True)
            if factor is not None and genome.scale is not None
        ]


def best_scale(
    fitness: Fitness, base: BaseTraining, context: SearchContext, weight: Tensor | None = None
) -> float:
    """Return the factor on the default loss under which networks do best.

    For SGD without weight decay that is the best learning rate, relative to the user's.

    Args:
        fitness: how networks are measured.
        base: how they are trained.
        context: of the search.
        weight: of the classes in all losses; None for none.
    """
    default = weighted_default(context.kind, weight)
    found: dict[int, float] = {}
    wanted = set(POWERS)
    while wanted:
        powers = sorted(wanted)
        losses = tuple(_Multiple(default, FACTOR**power) for power in powers)
        job = FitnessJob(losses, fitness.in_full(fitness.steps), base, context.seed("scale"))
        trials = job.on(context.problems, context.progress)
        found |= {power: trial.fitness for power, trial in zip(powers, trials, strict=True)}
        best = min(found, key=lambda power: (found[power], abs(power)))
        if not math.isfinite(found[best]):
            best = min(found)
        wanted = {near for near in (best - 1, best + 1) if abs(near) <= FARTHEST} - set(found)
    return float(FACTOR**best)


def weighted_default(kind: Kind, weight: Tensor | None) -> Loss:
    """Return the default loss of a kind, with weights of the classes where there are some."""
    default = default_loss(kind)
    default.weight = weight
    return default


@final
class _Multiple(Loss):
    """A loss times a number."""

    def __init__(self, loss: Loss, factor: float):
        super().__init__(loss.kind, weight=loss.weight)
        self._loss, self._factor = loss, factor

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._factor * self._loss.per_row(outputs, targets)

    def definition(self) -> dict[str, object]:
        raise NotImplementedError("lives only while a search begins")

    def __str__(self) -> str:
        return f"{self._factor:g} {self._loss}"


def _spread(sample: Sample, seed: int) -> Sample:
    """Return random predictions for the targets of a sample, repeated."""
    times = math.ceil(SPREAD_ROWS / len(sample.outputs))
    shape = (times * len(sample.outputs), *sample.outputs.shape[1:])
    outputs = SPREAD * torch.randn(shape, generator=torch_generator(seed, "poles"))
    targets = sample.targets.repeat(times, *[1] * (sample.targets.dim() - 1))
    return Sample(outputs.to(sample.outputs), targets)


def _with_root(genome: Genome, factor: float) -> Genome:
    root, *others = genome.coefficients
    return genome.with_coefficients([root * factor, *others])


def _slope(loss: torch.nn.Module, sample: Sample) -> Tensor:
    leaf = sample.outputs.detach().clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(loss(leaf, sample.targets), leaf)
    return slope.double().flatten()


def _factor(size: float, cosine: float) -> float | None:
    usable = math.isfinite(size) and size > 1 / LARGEST and abs(cosine) >= LEAST_COSINE
    return math.copysign(1 / size, cosine) if usable else None
