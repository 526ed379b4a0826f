"""How a person or a program watches an experiment: progress, and loggers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from lossforge.progress import Shown
from lossforge.runs import Run
from lossforge.runs.watcher import Watcher

MakeWatcher = Callable[[Run], Watcher]
"""returns what receives the history of a run"""


@final
@dataclass(frozen=True)
class Watching:
    """How an experiment is watched.

    Attributes:
        shown: show progress on standard error; "json" for one object a line, for programs.
        loggers: each receives the run's history and results, such as
            `lossforge.integrations.loggers.TensorBoard`.
    """

    shown: Shown = True
    loggers: tuple[MakeWatcher, ...] = ()


Progress = Shown | Watching
"""whether progress is shown, or more of how an experiment is watched"""


def as_watching(progress: Progress) -> Watching:
    """Return how an experiment is watched.

    Examples:
        >>> as_watching(False).shown
        False
    """
    return progress if isinstance(progress, Watching) else Watching(progress)
