"""Options of how a command is watched, which commands that run experiments share."""

from dataclasses import dataclass
from typing import Literal

import tyro

from lossforge.experiments.watching import Watching
from lossforge.extras import require_extra
from lossforge.integrations.loggers import LOGGERS
from lossforge.progress import Shown
from lossforge.validation import require


@dataclass(frozen=True)
class Display:
    """How a run is watched."""

    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """show no progress"""
    json_progress: tyro.conf.FlagCreatePairsOff[bool] = False
    """write progress to standard error as JSON, an object a line, for programs"""
    log: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()
    """send the run's history and results to tensorboard (into the run's folder), wandb or mlflow;
    each needs its package"""

    def watching(self) -> Watching:
        """Return how the experiment is watched."""
        require(
            not (self.quiet and self.json_progress),
            "--quiet shows no progress; leave out --json-progress",
        )
        for name in self.log:
            require_extra(name, f"--log {name}")
        shown: Shown = "json" if self.json_progress else not self.quiet
        return Watching(shown, tuple(LOGGERS[name] for name in self.log))
