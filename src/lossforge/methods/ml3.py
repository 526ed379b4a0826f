"""ML3: a loss that is a network, learned offline by hypergradients.

Source: Bechtle et al., "Meta-Learning via Learned Loss" (ICPR 2021); thesis, ch. 4.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from lossforge.errors import LossforgeError
from lossforge.losses import ML3_NETWORK, Architecture, NeuralLoss, as_population
from lossforge.losses.neural import Activation
from lossforge.methods.fitness import Fitness
from lossforge.methods.meta_training import Course, MetaTraining
from lossforge.methods.method import Found, Journal, Method, Silent, State
from lossforge.methods.problem import Problem, kind_of, pose
from lossforge.models import Model
from lossforge.randomness import derive_seed, torch_generator
from lossforge.tasks import Task
from lossforge.validation import require, require_in_range


@final
@dataclass(frozen=True)
class ML3(Method):
    """Meta-learning via learned loss: a network of (target, prediction), learned offline.

    Examples:
        >>> from lossforge.tasks import load
        >>> method = ML3(meta_steps=4, check_every=2, fitness_steps=10, hidden=(8,))
        >>> print(method.run(load("iris"), model="linear").loss)
        network 2-8-1, relu, softplus
    """

    name: ClassVar[str] = "ml3"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {
            "meta_steps": 1000,
            "horizon": 50,
            "check_every": 100,
            "fitness_steps": 150,
            "patience": 10,
        },
    }
    round_name: ClassVar[str] = "check"

    meta_steps: int = 2500
    """meta steps"""
    meta_learning_rate: float = 1e-3
    """step size of Adam on the loss network's weights"""
    inner_steps: int = 1
    """steps of the base network in a meta step, K"""
    horizon: int = 1
    """meta steps that one network is trained through under the loss before a fresh one is taken; 1
    in the paper, where the loss never sees a trained network"""
    hidden: tuple[int, ...] = ML3_NETWORK.hidden
    """widths of the loss network's hidden layers"""
    activation: Activation = ML3_NETWORK.activation
    """of the loss network's hidden layers"""
    check_every: int = 250
    """meta steps between checks of the loss on validation data"""
    fitness_steps: int = 500
    """steps of training before a check's metric is measured"""
    patience: int = 0
    """checks without improvement after which meta-training stops, and the best check's loss is
    taken; 0 never stops early and takes the last, as the paper does"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_in_range("meta_steps", self.meta_steps, 1)
        require_in_range("check_every", self.check_every, 1)
        require_in_range("patience", self.patience, 0)
        self._architecture()
        self._training()
        self._fitness()
        require(
            self.check_every % self.horizon == 0,
            f"check_every must be a multiple of horizon, not {self.check_every} of {self.horizon}",
        )

    @property
    def rounds(self) -> int:
        """One a check."""
        return math.ceil(self.meta_steps / self.check_every)

    def run(
        self,
        task: Task | Sequence[Task],
        model: Model = "mlp",
        seed: int = 0,
        *,
        journal: Journal | None = None,
    ) -> Found:
        """Learn a loss; see `Method.run`."""
        return _Learning(self, pose(task, model), seed, journal or Silent()).run()

    def _architecture(self) -> Architecture:
        return Architecture(self.hidden, self.activation)

    def _training(self) -> MetaTraining:
        return MetaTraining(
            self.meta_steps,
            self.meta_learning_rate,
            self.inner_steps,
            self,
            horizon=self.horizon,
        )

    def _fitness(self) -> Fitness:
        return Fitness(self.fitness_steps, self)


@final
class _Learning:
    """One meta-training with its checks."""

    def __init__(self, settings: ML3, problems: Sequence[Problem], seed: int, journal: Journal):
        self._settings, self._problems = settings, problems
        self._seed, self._journal = seed, journal
        self._checks: list[float] = []
        self._best: list[list[float]] = []
        self._course = self._begin()
        state = journal.restore()
        if state is not None:
            self._course.restore(state["course"])
            self._checks = [math.inf if v is None else v for v in state["checks"]]
            self._best = state["best"]

    def run(self) -> Found:
        """Make the meta steps that are left, with a check after each stretch."""
        settings, course = self._settings, self._course
        while course.step < settings.meta_steps and not self._is_exhausted():
            steps = min(settings.check_every, settings.meta_steps - course.step)
            course.advance(steps, self._journal.progress)
            self._check()
            self._journal.checkpoint(self._state(), self._entry())
        return self._found()

    def _begin(self) -> Course:
        loss = NeuralLoss(
            self._settings._architecture(),
            torch_generator(self._seed, "loss"),
            kind=kind_of(self._problems),
        )
        population = as_population([loss], self._problems[0].task.device)
        seed = derive_seed(self._seed, "tuning")
        return self._settings._training().begin(population, self._problems, seed)

    def _check(self) -> None:
        seed = derive_seed(self._seed, "fitness")
        (trial,) = self._settings._fitness()(
            self._course.losses, self._problems, seed, self._journal.progress
        )
        self._checks.append(trial.fitness)
        if not self._settings.patience or trial.fitness <= min(self._checks):
            self._best = self._course.losses.coefficients.tolist()

    def _is_exhausted(self) -> bool:
        patience = self._settings.patience
        if not patience or not self._checks:
            return False
        best = self._checks.index(min(self._checks))
        return len(self._checks) - 1 - best >= patience

    def _found(self) -> Found:
        losses = self._course.losses
        fitness = min(self._checks) if self._settings.patience else self._checks[-1]
        if not math.isfinite(fitness):
            raise LossforgeError(
                "networks diverged under the learned loss; lower learning_rate or "
                "meta_learning_rate, or set patience"
            )
        best = losses.with_coefficients(losses.coefficients.new_tensor(self._best))
        return Found(best.loss(0).cpu(), fitness, evaluations=len(self._checks))

    def _entry(self) -> State:
        best = min(self._checks)
        return {
            "generation": len(self._checks),
            "best": best if math.isfinite(best) else None,
            "counts": {"meta steps": self._course.step},
        }

    def _state(self) -> State:
        return {
            "course": self._course.state(),
            "checks": [value if math.isfinite(value) else None for value in self._checks],
            "best": self._best,
        }
