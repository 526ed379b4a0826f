"""The final among the fittest: one fitness run ranks candidates by luck as well as by worth.

Not in the papers, which take the fittest as it stands.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import final

from lossforge.losses import Loss, as_population
from lossforge.randomness import derive_seed
from lossforge.search.fitness import Fitness
from lossforge.search.meta_training import Progress
from lossforge.search.problem import Problem
from lossforge.validation import require_in_range


@final
@dataclass(frozen=True)
class Final:
    """Settings of the final.

    Attributes:
        finalists: how many of the fittest are trained anew; 1 for no final.
        runs: initializations from which they are.
        steps: of training; 0 for as many as in fitness runs. Losses that go wrong later are told
            only by longer runs.
    """

    finalists: int
    runs: int
    steps: int = 0

    def __post_init__(self) -> None:
        require_in_range("finalists", self.finalists, 1)
        require_in_range("final_runs", self.runs, 1)
        require_in_range("final_steps", self.steps, 0)

    def __call__(
        self,
        ranked: Sequence[tuple[Loss, float]],
        fitness: Fitness,
        problems: Sequence[Problem],
        seed: int,
        progress: Progress,
    ) -> tuple[Loss, float]:
        """Return the winner and its mean metric on validation data.

        Where networks diverge under all finalists, as many that come after them play in their turn.

        Args:
            ranked: losses and their fitnesses, the fittest first.
            fitness: how finalists are trained; without racing.
            problems: to train on.
            seed: of the search.
            progress: hears of the training.
        """
        if self.finalists == 1 or len(ranked) == 1:
            return ranked[0]

        def tell(stage: str, done: int, total: int) -> None:
            progress(f"final {stage}", done, total)

        in_full = replace(fitness, race=None, steps=self.steps or fitness.steps)
        for begin in range(0, len(ranked), self.finalists):
            some = [loss for loss, _ in ranked[begin : begin + self.finalists]]
            population = as_population(some, problems[0].task.device)
            runs = [
                in_full(population, problems, derive_seed(seed, "final", run), tell)
                for run in range(self.runs)
            ]
            means = [fmean(trial.fitness for trial in trials) for trials in zip(*runs, strict=True)]
            best = min(range(len(some)), key=means.__getitem__)
            if math.isfinite(means[best]):
                return some[best], means[best]
        return ranked[0]
