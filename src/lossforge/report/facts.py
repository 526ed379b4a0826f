"""What a page is made of: a complete run as plain data, and what its experiment says about it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from lossforge.errors import LossforgeError
from lossforge.files import read_json
from lossforge.losses import Loss
from lossforge.report.blocks import TableLike

State = Mapping[str, Any]

CLASSES = 10
"""outputs on which a classification loss is looked at where the run does not tell"""


def cost_of(result: State, value: float | None) -> float:
    """Return what is minimized, of a value of a result's metric; infinity where a run diverged.

    It is its own inverse: of a cost, it is the metric's value.

    Examples:
        >>> cost_of({"maximized": True}, 0.75), cost_of({}, 0.75), cost_of({}, None)
        (0.25, 0.75, inf)
    """
    if value is None:
        return math.inf
    return 1 - value if result.get("maximized") else value


def is_learned_level(result: State) -> bool:
    """Tell whether a search's loss is no worse on validation data than what is recommended.

    Examples:
        >>> is_learned_level({"valid": 0.02, "recommended": {"name": "focal", "valid": 0.02}})
        True
        >>> is_learned_level({"valid": 0.05, "recommended": {"name": "focal", "valid": 0.02}})
        False
    """
    tuned = result.get("tuned")
    found = [result["valid"], *([tuned["valid"]] if tuned else [])]
    best = cost_of(result, result["recommended"]["valid"])
    return min(cost_of(result, valid) for valid in found) <= best


@final
@dataclass(frozen=True)
class Facts:
    """A complete run.

    Attributes:
        config: what it was begun with.
        result: what it ended with.
        history: a line for each round.
        losses: the loss that was found, or the losses that were compared, by name.
        tables: its results.
        sentence: what the tests of its experiment say; empty for nothing.
        repeat: the command that does it again; None where the program cannot.
        path: its folder; None for a run in memory.
        environment: versions, hardware and code that it ran with, by name; empty if not recorded.
    """

    config: State
    result: State
    history: Sequence[State] = ()
    losses: Mapping[str, Loss] = field(default_factory=dict)
    tables: Sequence[TableLike] = ()
    sentence: str = ""
    repeat: str | None = None
    path: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The command of the program that the run belongs to."""
        return str(self.config.get("command", ""))

    @property
    def classes(self) -> int:
        """Outputs on which classification losses are looked at."""
        return max(2, int(self.result.get("outputs") or CLASSES))

    @property
    def better(self) -> str:
        """Which values of the metric are better."""
        return "higher" if self.result.get("maximized") else "lower"

    @property
    def metric(self) -> str:
        """Name of the metric, with spaces."""
        return str(self.result.get("metric", "metric")).replace("_", " ")

    def file(self, name: str) -> State | None:
        """Return a JSON file of the run; None where it is missing or cannot be read."""
        if self.path is None or not (self.path / name).is_file():
            return None
        try:
            return read_json(self.path / name)
        except (LossforgeError, OSError):
            return None

    def history_of(self, child: str) -> list[State]:
        """Return the history of a run inside this one; empty where there is none."""
        if self.path is None or not (self.path / child / "history.jsonl").is_file():
            return []
        lines = (self.path / child / "history.jsonl").read_text(encoding="utf-8").splitlines()
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            return []


def on_each_task(result: State) -> list[dict[str, Any]]:
    """Return a search's result on each of its tasks, as if it had been on that one alone.

    Examples:
        >>> rows = [{"task": "iris", "test": 0.1}, {"task": "wine", "test": 0.2}]
        >>> on_each_task({"task": "iris,wine", "loss": "y", "test": 0.15, "tasks": rows})[1]
        {'task': 'wine', 'loss': 'y', 'test': 0.2}
    """
    shared = {name: value for name, value in result.items() if name != "tasks"}
    return [shared | row for row in result.get("tasks", [{}])]


def number(value: Any, digits: int = 4) -> str:
    """Return a metric as people read it; None is a run that diverged.

    Examples:
        >>> number(0.031230), number(None)
        ('0.03123', 'diverged')
    """
    return "diverged" if value is None else f"{value:.{digits}g}"
