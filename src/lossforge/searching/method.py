"""A method of finding losses: hyper-parameters, and the steps of its search.

A method writes the steps `init`, `ask`, `decode` and `tell`. `Method.run` owns everything else: the
rounds, fitness runs, the archive, counts, progress, checkpoints and the result.
"""

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar, final

from lossforge.errors import FileFormatError, unknown_name
from lossforge.models import Model, describe
from lossforge.progress import ProgressReporter
from lossforge.searching.ask_tell import AskTell
from lossforge.searching.executors import Executor
from lossforge.searching.journal import Journal, NullJournal, State
from lossforge.searching.loop import Loop
from lossforge.searching.options import flatten, require_parts, with_options
from lossforge.searching.problem import make_problems
from lossforge.searching.result import SearchResult
from lossforge.tasks import TaskLike

StateT = TypeVar("StateT")
CandidateT = TypeVar("CandidateT")

LATER = frozenset(
    {
        "task_loss",
        *("perturbation", "perturbation_size", "coefficient_spread", "functions", "terminals"),
        *("differences", "final_folds", "islands", "migrate_every"),
        *("inherit", "scales", "search_width", "fitness_measure", "halving"),
        *("class_weights", "fresh_initializations", "fitness_repeats"),
        *(
            "final_length",
            "final_kept",
            "final_simplest",
            "confirmed",
            "confirmed_runs",
            "confirmed_steps",
        ),
        *("confirmed_factors", "confirmed_versions", "tune", "search_steps"),
    }
)
"""Hyper-parameters that configurations of older versions lack; they have their defaults there."""


class Method(AskTell[StateT, CandidateT], ABC):
    """A method of finding losses: a frozen dataclass of its hyper-parameters, with ask and tell.

    The defaults are the paper's. The options of the command line and a run's saved configuration
    are generated from the fields.

    Type parameters: of the state between rounds, and of a candidate.
    """

    name: ClassVar[str]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}}
    """options by preset, where they differ from the defaults"""
    round_name: ClassVar[str] = "generation"
    """what a round, the stretch between two checkpoints, is called in reports"""

    def __post_init__(self) -> None:
        require_parts(self)

    @classmethod
    def preset(cls, name: str) -> Self:
        """Return the method with a preset's hyper-parameters.

        Raises:
            UnknownNameError: there is no such preset.
        """
        if name not in cls.presets:
            raise unknown_name(f"preset of {cls.name}", name, cls.presets)
        return cls().with_options(**cls.presets[name])

    def with_options(self, **changes: Any) -> Self:
        """Return the method with some hyper-parameters changed, by the names that `settings` lists.

        Raises:
            UnknownNameError: there is no such hyper-parameter.
            ConfigurationError: a value is out of its range.

        Examples:
            >>> from lossforge import EvoMAL
            >>> EvoMAL().with_options(generations=20, meta_steps=100).tuning.steps
            100
        """
        return with_options(self, changes, self.name)

    def settings(self) -> State:
        """Return all hyper-parameters as plain data, by the names of the command line."""
        return flatten(self)

    @classmethod
    def from_settings(cls, settings: State) -> Self:
        """Return the method whose `settings` were saved.

        Raises:
            FileFormatError: they are not this method's.
        """
        method = cls()
        now = set(method.settings())
        if not now - LATER <= set(settings) <= now:
            raise FileFormatError(f"the saved settings are not those of {cls.name}; start anew")
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        return method.with_options(**values)

    @final
    def run(
        self,
        task: TaskLike | Sequence[TaskLike],
        model: Model = "mlp",
        seed: int = 0,
        *,
        journal: Journal | None = None,
        progress: bool = True,
        executor: Executor | None = None,
    ) -> SearchResult:
        """Search for a loss.

        Args:
            task: what networks train on: a name, a task or data sets (see
                `lossforge.tasks.task_of`); with several, fitness is averaged over them.
            model: which networks train: a name with options, or a factory of modules.
            seed: the same seed gives the same result on the same machine, interrupted or not.
            journal: where to report to and resume from; by default nothing is kept.
            progress: show progress on standard error, where there is no journal to do so.
            executor: trains networks side by side; by default all train in this process. No result
                depends on it.

        Raises:
            ConfigurationError: there is no task, the tasks are of several kinds, or the network
                does not fit.
            LossforgeError: no network could be trained under any candidate.
        """
        problems = make_problems(task, model)
        if journal is not None or not progress:
            return Loop(self, problems, seed, journal or NullJournal(), executor).run()
        names = " and ".join(problem.task.name for problem in problems)
        title = f"{self.name} on {names} with {describe(model)}, seed {seed}"
        with ProgressReporter(title, rounds=self.rounds, round_name=self.round_name) as reporter:
            return Loop(self, problems, seed, reporter, executor).run()
