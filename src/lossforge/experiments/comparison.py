"""The fair test of losses: full training over seeds, then test data, once.

Within a seed, all losses train from the same initialization on the same batches; seeds differ in
both. No seed was seen by a search.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from lossforge.losses import Loss, as_population
from lossforge.methods import BaseTraining, Problem
from lossforge.randomness import derive_seed
from lossforge.training import make_ensemble
from lossforge.validation import require_whole

REPORT_EVERY = 25
"""steps between reports of progress"""


@final
@dataclass(frozen=True)
class Scores:
    """The metrics of one loss over the seeds.

    Attributes:
        name: of the loss.
        valid: the metric on validation data, one number a seed.
        test: the metric on test data, one number a seed; infinity for a run that diverged.
    """

    name: str
    valid: tuple[float, ...]
    test: tuple[float, ...]


@final
@dataclass(frozen=True)
class Comparison:
    """Settings of the closing comparison."""

    compare_seeds: int = 5
    """networks trained in full under each loss for the closing comparison"""
    compare_steps: int = 10_000
    """steps of that training"""

    def __post_init__(self) -> None:
        require_whole("compare_seeds", self.compare_seeds, 1)
        require_whole("compare_steps", self.compare_steps, 1)

    def __call__(
        self,
        losses: dict[str, Loss],
        problem: Problem,
        base: BaseTraining,
        seed: int,
        *,
        progress: Callable[[str, int, int], None],
    ) -> list[Scores]:
        """Train networks under each loss and return their scores, in the order of `losses`.

        Args:
            losses: by name.
            problem: the task and its networks.
            base: how they are trained.
            seed: of the search; the comparison's own are derived from it.
            progress: receives a stage's name, the steps done and their total.
        """
        population = as_population(list(losses.values()), problem.task.device)
        rounds: list[Sequence[tuple[float, float]]] = []
        total = self.compare_seeds * self.compare_steps
        for run in range(self.compare_seeds):
            setup = base.setup(problem, derive_seed(seed, "comparison", run))
            ensemble = make_ensemble(setup, population, "auto")
            for done in range(0, self.compare_steps, REPORT_EVERY):
                ensemble.advance(min(REPORT_EVERY, self.compare_steps - done))
                progress("comparing", run * self.compare_steps + done, total)
            task = problem.task
            valid, test = (
                ensemble.score(task.valid, task.kind),
                ensemble.score(task.test, task.kind),
            )
            rounds.append(list(zip(valid, test, strict=True)))
        return [
            Scores(name, *map(tuple, zip(*by_seed, strict=True)))
            for name, by_seed in zip(losses, zip(*rounds, strict=True), strict=True)
        ]
