"""The fair test of losses: full training over seeds, then test data, once.

Within a seed, all losses train from the same initialization on the same batches; seeds differ in
both. No seed was seen by a search.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

from lossforge.losses import Loss, as_population
from lossforge.methods import BaseTraining, Problem
from lossforge.randomness import derive_seed
from lossforge.training import EnsembleConfig, make_ensemble
from lossforge.training.optimizers import Multistep
from lossforge.validation import require_in_range, require_whole

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
    compare_milestones: tuple[float, ...] = ()
    """shares of those steps after which the learning rate is divided by 10"""

    def __post_init__(self) -> None:
        require_whole("compare_seeds", self.compare_seeds, 1)
        require_whole("compare_steps", self.compare_steps, 1)
        for milestone in self.compare_milestones:
            require_in_range("compare_milestones", milestone, 0, 1)

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
            setup = self._scheduled(base.setup(problem, derive_seed(seed, "comparison", run)), base)
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

    def _scheduled(self, setup: EnsembleConfig, base: BaseTraining) -> EnsembleConfig:
        """Return how networks are trained, with the comparison's schedule of the learning rate."""
        if not self.compare_milestones:
            return setup
        steps = tuple(round(share * self.compare_steps) for share in self.compare_milestones)
        sgd = base.optimizer()
        return replace(setup, optimizer=Multistep(sgd.learning_rate, sgd, steps))
