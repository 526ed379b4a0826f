"""What a search runs on, as its steps see it."""

from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import final

import torch

from lossforge.randomness import derive_seed, python_generator
from lossforge.searching.executors import Executor, Here
from lossforge.searching.journal import Progress
from lossforge.searching.parallel_training import ParallelTraining
from lossforge.searching.problem import Problem, kind_of
from lossforge.tasks import Kind


@final
@dataclass(frozen=True)
class SearchContext:
    """What a search runs on.

    Attributes:
        problems: tasks, each with its networks.
        root_seed: the seed of the search; derive others from it by `seed` or `generator`.
        progress: receives the progress of long steps.
        executor: computes what may be computed side by side; no result depends on it.
    """

    problems: tuple[Problem, ...]
    root_seed: int
    progress: Progress
    executor: Executor = field(default_factory=Here)

    @cached_property
    def training(self) -> ParallelTraining:
        """What trains networks on the problems, under many losses side by side."""
        return ParallelTraining(self.problems, self.executor, self.progress)

    @property
    def kind(self) -> Kind:
        """The kind that all tasks share."""
        return kind_of(self.problems)

    @property
    def device(self) -> torch.device:
        """Where the tasks are, and losses are evaluated."""
        return self.problems[0].task.device

    def seed(self, *purpose: str | int) -> int:
        """Return a seed for one purpose, independent of those for others."""
        return derive_seed(self.root_seed, *purpose)

    def generator(self, *purpose: str | int) -> Random:
        """Return a source of random numbers for one purpose, such as one generation's mutations."""
        return python_generator(self.root_seed, *purpose)
