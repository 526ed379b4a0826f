"""TaylorGLO: Taylor polynomials as losses, their parameters found by CMA-ES.

Source: Gonzalez & Miikkulainen, "Optimizing Loss Functions Through Multivariate Taylor Polynomial
Parameterization" (GECCO 2021); thesis, ch. 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from cmaes import CMA

from lossforge.errors import LossforgeError
from lossforge.losses import SymbolicLoss, SymbolicPopulation, taylor_loss
from lossforge.losses.taylor import PARAMETERS
from lossforge.models import Model
from lossforge.randomness import derive_seed
from lossforge.search.fitness import Trial
from lossforge.search.method import Found, Journal, Silent, State
from lossforge.search.population import Contest
from lossforge.search.problem import Problem, kind_of, pose
from lossforge.tasks import Task
from lossforge.validation import require_in_range


@final
@dataclass(frozen=True)
class TaylorGLO(Contest):
    """Evolution strategy over third-order Taylor polynomials of target and prediction.

    Population and generations are the thesis' for all searches; the paper's own vary by task.

    Examples:
        >>> from lossforge.tasks import load
        >>> method = TaylorGLO(population=4, generations=2, fitness_steps=10)
        >>> method.run(load("iris"), model="linear").evaluations
        8
    """

    name: ClassVar[str] = "taylorglo"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {
            "population": 12,
            "generations": 6,
            "fitness_steps": 150,
            "finalists": 4,
            "final_steps": 400,
        },
    }

    deviation: float = 1.2
    """CMA-ES's first deviation around polynomials of zero"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_in_range("deviation", self.deviation, 0, exclude_low=True)

    def run(
        self,
        task: Task | Sequence[Task],
        model: Model = "mlp",
        seed: int = 0,
        *,
        journal: Journal | None = None,
    ) -> Found:
        """Search for a loss; see `Method.run`."""
        return _Strategy(self, pose(task, model), seed, journal or Silent()).run()


@final
class _Strategy:
    """One run of CMA-ES; its state is what it was told, which is told again on resuming."""

    def __init__(
        self, settings: TaylorGLO, problems: Sequence[Problem], seed: int, journal: Journal
    ):
        self._settings, self._problems = settings, problems
        self._seed, self._journal = seed, journal
        self._cma = CMA(
            mean=np.zeros(PARAMETERS),
            sigma=settings.deviation,
            seed=derive_seed(seed, "cma") % 2**32,
            population_size=settings.population,
        )
        self._trials: list[list[Trial]] = []
        self._asked: list[list[np.ndarray[Any, Any]]] = []
        state = journal.restore()
        for generation in state["trials"] if state else []:
            self._ask()
            self._tell([Trial.from_state(row) for row in generation])

    def run(self) -> Found:
        """Run the generations that are left and choose a loss."""
        while len(self._trials) < self._settings.generations:
            losses = SymbolicPopulation(
                [self._loss(parameters) for parameters in self._ask()],
                self._problems[0].task.device,
            )
            fitness = self._settings._fitness([trial.curve for trial in self._complete()])
            seed = derive_seed(self._seed, "fitness")
            self._tell(fitness(losses, self._problems, seed, self._journal.progress))
            self._journal.checkpoint(self._state(), self._entry())
        return self._found()

    def _ask(self) -> list[np.ndarray[Any, Any]]:
        self._asked.append([self._cma.ask() for _ in range(self._settings.population)])
        return self._asked[-1]

    def _tell(self, trials: list[Trial]) -> None:
        # CMA-ES looks at ranks alone, so that failures need no finite value.
        self._trials.append(trials)
        order = sorted(range(len(trials)), key=lambda i: trials[i].fitness)
        ranks = {candidate: float(rank) for rank, candidate in enumerate(order)}
        self._cma.tell([(x, ranks[i]) for i, x in enumerate(self._asked[-1])])

    def _loss(self, parameters: np.ndarray[Any, Any]) -> SymbolicLoss:
        return taylor_loss(parameters.tolist(), kind_of(self._problems))

    def _complete(self) -> list[Trial]:
        return [trial for trials in self._trials for trial in trials if trial.reason is None]

    def _found(self) -> Found:
        ranked = sorted(
            (
                (trial.fitness, generation, candidate)
                for generation, trials in enumerate(self._trials)
                for candidate, trial in enumerate(trials)
                if trial.reason is None
            ),
        )
        if not ranked:
            raise LossforgeError(
                "no polynomial could train a network; raise population or generations, or lower "
                "learning_rate"
            )
        losses = [
            (self._loss(self._asked[generation][candidate]), fitness)
            for fitness, generation, candidate in ranked
        ]
        loss, valid = self._settings._final()(
            losses, self._settings._fitness(), self._problems, self._seed, self._journal.progress
        )
        return Found(loss, valid, self._evaluations(), counts=self._counts())

    def _evaluations(self) -> int:
        return sum(map(len, self._trials))

    def _counts(self) -> dict[str, int]:
        reasons = [trial.reason for trials in self._trials for trial in trials]
        stopped = sum(reason is not None and reason.startswith("stopped") for reason in reasons)
        full = sum(reason is None for reason in reasons)
        return {
            "candidates": len(reasons),
            "in full": full,
            "stopped": stopped,
            "diverged": len(reasons) - full - stopped,
        }

    def _entry(self) -> State:
        best = min((trial.fitness for trial in self._complete()), default=None)
        return {"generation": len(self._trials), "best": best, "counts": self._counts()}

    def _state(self) -> State:
        return {"trials": [[trial.state() for trial in trials] for trials in self._trials]}
