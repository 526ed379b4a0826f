"""A task with the networks that train on it, and how those are trained in a search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from lossforge.models import Factory, Model, initialize, resolve
from lossforge.models.narrowing import narrowed
from lossforge.randomness import derive_seed, torch_generator
from lossforge.tasks import Batches, Kind, Split, Task, TaskLike, folds, tasks_of
from lossforge.tasks.conversion import check_alike
from lossforge.training import SGD, EnsembleConfig, Network
from lossforge.validation import require_in_range


@final
@dataclass(frozen=True)
class Problem:
    """A task and a factory of networks for it."""

    task: Task
    factory: Factory

    def network(self, seed: int) -> Network:
        """Return a freshly initialized network on the task's device."""
        return Network(initialize(self.factory, seed).to(self.task.device))

    def narrowed(self, width: int) -> "Problem":
        """Return the problem with narrower networks; the same where there are none."""
        factory = narrowed(self.factory, width)
        return self if factory is None else Problem(self.task, factory)

    def folds(self, count: int) -> tuple["Problem", ...]:
        """Return the problem on at most so many folds of its task, of which it is the first."""
        return tuple(Problem(fold, self.factory) for fold in folds(self.task, count))

    def batches(self, split: Split, size: int, seed: int) -> Batches:
        """Return a stream of batches that the seed determines."""
        augment = self.task.augment if split is self.task.train else None
        return Batches(split, size, torch_generator(seed, "batches"), augment)


def make_problems(tasks: TaskLike | Sequence[TaskLike], model: Model) -> list[Problem]:
    """Return one problem for each task, after trying the network on its task.

    Args:
        tasks: one or several, of one kind; see `lossforge.tasks.task_of` for what may stand for
            a task.
        model: a name with options such as ``"mlp:width=100"``, or a factory of modules.

    Raises:
        ConfigurationError: there is no task, the tasks are of two kinds, or a network does not fit.
    """
    tasks = tasks_of(tasks)
    check_alike(tasks)
    return [Problem(task, resolve(model, task)) for task in tasks]


def kind_of(problems: Sequence[Problem]) -> Kind:
    """Return the kind that all problems share."""
    return problems[0].task.kind


@final
@dataclass(frozen=True)
class BaseTraining:
    """How base networks, those that are trained under a loss, are trained: by SGD.

    Raises:
        ConfigurationError: a number is out of its range.

    Examples:
        >>> BaseTraining(learning_rate=0.1).optimizer().momentum
        0.9
    """

    learning_rate: float = 0.01
    """SGD learning rate of the networks that are trained in the search"""
    momentum: float = 0.9
    """SGD momentum of the networks that are trained in the search"""
    nesterov: bool = True
    """use Nesterov momentum"""
    weight_decay: float = 5e-4
    """L2 penalty on the weights of the networks that are trained in the search"""
    batch_size: int = 128
    """rows in a batch; a task with fewer rows gives all of them"""

    def __post_init__(self) -> None:
        require_in_range("batch_size", self.batch_size, 1)
        self.optimizer()

    def optimizer(self) -> SGD:
        """Return the optimizer of the base networks."""
        return SGD(self.learning_rate, self.momentum, self.nesterov, self.weight_decay)

    def setup(self, problem: Problem, seed: int) -> EnsembleConfig:
        """Return initialization and batches of networks for `problem`, given by the seed."""
        network = problem.network(derive_seed(seed, "initialization"))

        def batches() -> Batches:
            return problem.batches(problem.task.train, self.batch_size, derive_seed(seed, "train"))

        return EnsembleConfig(
            network,
            network.parameters(),
            self.optimizer(),
            batches,
            seed=derive_seed(seed, "network"),
        )
