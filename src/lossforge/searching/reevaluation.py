"""Re-evaluation of the fittest: one fitness run ranks candidates by luck as well as by worth.

Not in the papers, which take the fittest as it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Annotated, final

from lossforge.losses import Loss, as_population
from lossforge.randomness import derive_seed
from lossforge.searching.fitness import Fitness
from lossforge.searching.journal import Progress
from lossforge.searching.options import OptionName
from lossforge.searching.problem import BaseTraining, Problem
from lossforge.validation import require_in_range


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
    """training steps under each finalist; 0 for as many as in a fitness run. A longer training
    finds losses that diverge late"""

    def __post_init__(self) -> None:
        require_in_range("finalists", self.finalists, 1)
        require_in_range("final_runs", self.runs, 1)
        require_in_range("final_steps", self.steps, 0)

    def __call__(
        self,
        ranked: Sequence[tuple[Loss, float]],
        fitness: Fitness,
        problems: Sequence[Problem],
        base: BaseTraining,
        seed: int,
        progress: Progress,
    ) -> tuple[Loss, float]:
        """Return the best finalist and its mean metric on validation data.

        If networks diverge under all finalists, the losses ranked next become finalists.

        Args:
            ranked: losses and their fitness, the fittest first.
            fitness: the fitness runs of the search; racing is turned off.
            problems: to train on.
            base: how networks are trained.
            seed: of the search.
            progress: receives the training steps made.
        """
        if self.finalists == 1 or len(ranked) == 1:
            return ranked[0]

        def report(stage: str, done: int, total: int) -> None:
            progress(f"final {stage}", done, total)

        complete = replace(fitness, racing=False, steps=self.steps or fitness.steps)
        for begin in range(0, len(ranked), self.finalists):
            some = [loss for loss, _ in ranked[begin : begin + self.finalists]]
            population = as_population(some, problems[0].task.device)
            runs = [
                complete(population, problems, base, derive_seed(seed, "final", run), report)
                for run in range(self.runs)
            ]
            means = [fmean(trial.fitness for trial in trials) for trials in zip(*runs, strict=True)]
            best = min(range(len(some)), key=means.__getitem__)
            if math.isfinite(means[best]):
                return some[best], means[best]
        return ranked[0]
