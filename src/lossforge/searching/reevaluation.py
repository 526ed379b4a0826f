"""Re-evaluation of the fittest: one fitness run ranks candidates by luck as well as by worth.

Not in the papers, which take the fittest as it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, final

import torch

from lossforge.losses import Loss, SymbolicLoss
from lossforge.randomness import derive_seed
from lossforge.searching.fitness import Fitness, Trial
from lossforge.searching.fitness_work import Fold
from lossforge.searching.level import is_level
from lossforge.searching.options import OptionName
from lossforge.searching.parallel_training import ParallelTraining
from lossforge.searching.problem import BaseTraining
from lossforge.validation import require, require_in_range


@final
@dataclass(frozen=True)
class Reevaluation:
    """How the loss that a search returns is chosen among the fittest.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    finalists: int = 1
    """fittest losses that are trained under again, from other initializations, before one of them
    is chosen; 1, as in the papers, takes the fittest as it is"""
    runs: Annotated[int, OptionName("final_runs")] = 3
    """initializations from which networks are trained under each finalist"""
    steps: Annotated[int, OptionName("final_steps")] = 0
    """training steps under each finalist; 0 for final_length times as many as in a fitness run. A
    longer training finds losses that diverge late"""
    length: Annotated[float, OptionName("final_length")] = 1.0
    """training under each finalist lasts so many times as long as a fitness run"""
    kept: Annotated[int, OptionName("final_kept")] = 0
    """finalists that are left after the first initialization, so that only they are trained under
    from all; 0 leaves all of them"""
    folds: Annotated[int, OptionName("final_folds")] = 1
    """folds of few training and validation rows that networks are trained on in turn, one for each
    initialization, so that finalists are chosen by other validation rows than candidates were; 1
    for the rows as they are"""
    simplest: Annotated[bool, OptionName("final_simplest")] = False
    """choose the smallest of the finalists that are within a standard error of the best"""
    confirmed: int = 2
    """finalists that are trained under at last on the network itself, where candidates were tried
    on a narrower one, or with several factors"""
    confirming_steps: Annotated[int, OptionName("confirmed_steps")] = 0
    """training steps under each version, a confirmed finalist times one of confirmed_factors; 0 for
    as many as in a fitness run"""
    confirmed_versions: int = 3
    """versions, the best after confirmed_steps, that networks are then trained under for as long as
    under finalists"""
    confirmed_runs: int = 2
    """initializations from which networks are trained under each of confirmed_versions, where
    candidates were tried on a narrower network; final_runs where on the network itself"""
    factors: Annotated[tuple[float, ...], OptionName("confirmed_factors")] = (1.0,)
    """factors on each confirmed finalist that are tried; the best is folded into the loss"""

    def __post_init__(self) -> None:
        require_in_range("finalists", self.finalists, 1)
        require_in_range("final_runs", self.runs, 1)
        require_in_range("final_steps", self.steps, 0)
        require_in_range("final_length", self.length, 0, exclude_low=True)
        require_in_range("final_kept", self.kept, 0)
        require_in_range("final_folds", self.folds, 1)
        require_in_range("confirmed", self.confirmed, 1)
        require_in_range("confirmed_versions", self.confirmed_versions, 1)
        require_in_range("confirmed_runs", self.confirmed_runs, 1)
        require_in_range("confirmed_steps", self.confirming_steps, 0)
        require(
            len(self.factors) > 0 and all(factor > 0 for factor in self.factors),
            "confirmed_factors must be positive numbers, at least one",
        )

    def __call__(
        self,
        ranked: Sequence[tuple[Loss, float]],
        fitness: Fitness,
        training: ParallelTraining,
        base: BaseTraining,
        seed: int,
        confirm_with: ParallelTraining | None = None,
    ) -> tuple[Loss, float]:
        """Return the best finalist and its mean metric on validation data.

        If networks diverge under all finalists, the losses ranked next become finalists.

        Args:
            ranked: losses and their metric, the fittest first.
            fitness: the fitness runs of the search; here all are completed.
            training: trains networks under the finalists.
            base: how networks are trained.
            seed: of the search.
            confirm_with: trains the network itself, where `training` trains narrower ones.
        """
        if self.finalists == 1 or len(ranked) == 1:
            return ranked[0]
        steps = self.steps or max(1, round(self.length * fitness.steps))
        measured = _Measured(fitness.in_full(steps), base, self.folds)
        draws = [_Draw(derive_seed(seed, "final", run), run) for run in range(self.runs)]
        for begin in range(0, len(ranked), self.finalists):
            some = [loss for loss, _ in ranked[begin : begin + self.finalists]]
            finals = _raced(some, measured, training, draws, self.kept)
            if not finals[0].is_sound:
                continue
            if confirm_with is not None or self.factors != (1.0,):
                fewer = fitness.in_full(self.confirming_steps or fitness.steps)
                shorter = _Measured(fewer, base, self.folds)
                # Where candidates were tried on the network itself, more runs cost little.
                runs = self.runs if confirm_with is None else self.confirmed_runs
                finals = self._confirmed(
                    finals[: self.confirmed],
                    shorter,
                    measured,
                    confirm_with or training,
                    [derive_seed(seed, "confirmed", run) for run in range(1 + runs)],
                )
            chosen = _simplest(finals) if self.simplest else finals[0]
            return chosen.loss, chosen.metric
        return ranked[0]

    def _confirmed(
        self,
        finals: "Sequence[_Final]",
        shorter: "_Measured",
        longer: "_Measured",
        training: ParallelTraining,
        seeds: Sequence[int],
    ) -> "list[_Final]":
        """Return finalists as they do on the network itself, those with the best factors."""
        scaled = [
            version
            for final in finals
            if final.is_sound
            for version in _versions(final.loss, self.factors)
        ]
        first, *draws = (_Draw(seed, run) for run, seed in enumerate(seeds))
        ranked = sorted(shorter(scaled, training, [first]), key=lambda final: final.mean)
        kept = [final.loss for final in ranked[: self.confirmed_versions] if final.is_sound]
        found = longer(kept, training, draws) if kept else []
        sound = [final for final in found if final.is_sound]
        return sorted(sound, key=lambda final: final.mean) or list(finals)


@final
@dataclass(frozen=True)
class _Draw:
    """What networks are trained from.

    Attributes:
        seed: of initialization and batches.
        number: decides the fold. Candidates were trained on the first, which so comes last.
    """

    seed: int
    number: int

    def of(self, folds: int) -> tuple[int, Fold]:
        """Return the seed, with the one of so many folds that is trained on."""
        return self.seed, Fold(self.number + 1, folds)


@final
@dataclass(frozen=True)
class _Final:
    """A finalist and its trials, one for each initialization."""

    loss: Loss
    trials: tuple[Trial, ...]

    def joined(self, other: "_Final") -> "_Final":
        """Return the loss with the trials of both."""
        return _Final(self.loss, self.trials + other.trials)

    @property
    def scores(self) -> list[float]:
        return [trial.fitness for trial in self.trials]

    @property
    def mean(self) -> float:
        return fmean(self.scores)

    @property
    def metric(self) -> float:
        return fmean(trial.metric for trial in self.trials)

    @property
    def is_sound(self) -> bool:
        return math.isfinite(self.mean)

    @property
    def size(self) -> int:
        return self.loss.expression.size if isinstance(self.loss, SymbolicLoss) else 0


@final
@dataclass(frozen=True)
class _Measured:
    """Trains networks under losses from several initializations, each on a fold of the rows."""

    fitness: Fitness
    base: BaseTraining
    folds: int

    def __call__(
        self, losses: Sequence[Loss], training: ParallelTraining, draws: Sequence[_Draw]
    ) -> list[_Final]:
        """Return each loss with its trials."""
        numbered = [draw.of(self.folds) for draw in draws]
        runs = training.runs(self.fitness, losses, self.base, numbered, "final training")
        return [
            _Final(loss, trials)
            for loss, trials in zip(losses, zip(*runs, strict=True), strict=True)
        ]


def _raced(
    losses: Sequence[Loss],
    measured: _Measured,
    training: ParallelTraining,
    draws: Sequence[_Draw],
    kept: int,
) -> list[_Final]:
    """Return the losses that were trained under from all initializations, the best first.

    Args:
        losses: to train under.
        measured: trains networks under losses.
        training: trains them.
        draws: of initializations and folds.
        kept: how many losses are left after the first initialization; 0 for all.
    """
    if not 0 < kept < len(losses):
        return sorted(measured(losses, training, draws), key=lambda final: final.mean)
    first = sorted(measured(losses, training, draws[:1]), key=lambda final: final.mean)
    best = first[:kept]
    if len(draws) == 1:
        return best
    others = measured([final.loss for final in best], training, draws[1:])
    both = [one.joined(other) for one, other in zip(best, others, strict=True)]
    return sorted(both, key=lambda final: final.mean)


def _simplest(finals: Sequence[_Final]) -> _Final:
    """Return the smallest finalist within a standard error of the best, which is the first."""
    best = finals[0]
    level = [best, *(final for final in finals if is_level(final.scores, best.scores))]
    return min(level, key=lambda final: (final.size, final.mean))


def _versions(loss: Loss, factors: Sequence[float]) -> list[Loss]:
    """Return a loss times each factor, folded into the root's coefficient of a formula."""
    if not isinstance(loss, SymbolicLoss) or loss.softplus:
        return [loss]
    root = torch.ones_like(loss.coefficients)
    versions: list[Loss] = []
    for factor in factors:
        root[0] = factor
        versions.append(loss.with_coefficients(loss.coefficients.detach() * root))
    return versions
