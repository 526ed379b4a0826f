"""Many losses on many tasks and networks over seeds: one cell for each training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product, starmap
from statistics import fmean
from typing import Literal, NamedTuple, final

from lossforge.methods import AdaLFL
from lossforge.methods.training_config import AdaptOn, TrainingConfig
from lossforge.tasks.metrics import Metric
from lossforge.training.full import Outcome, Recipe
from lossforge.validation import require, require_in_range, require_whole

Tune = Literal["none", "handcrafted", "all"]

TUNING_SEED = 1_000_000
"""Seeds of tuning begin here, far from those of the comparison."""


@final
@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        task: by name.
        model: by name.
        loss: by name or path, or "adalfl".
        learning_rate: of the network's optimizer.
        seed: of initialization and batches.
    """

    task: str
    model: str
    loss: str
    learning_rate: float
    seed: int

    @property
    def key(self) -> str:
        """What the cell's outcome is kept under."""
        return f"{self.task} | {self.model} | {self.loss} | {self.learning_rate:g} | {self.seed}"


class Entry(NamedTuple):
    """One entry of a comparison, each by name."""

    task: str
    model: str
    loss: str


@final
@dataclass(frozen=True)
class Grid:
    """What is compared.

    Attributes:
        losses: the first is what the others are held against.
        tasks: by name.
        models: by name.
        seeds: how many.
        first_seed: they count on from here.
        recipe: of every training.
        adalfl: settings of the adaptive loss.
        adapt_on: rows that it learns from.
        tune: whose learning rate is tuned on validation data, as a further entry.
        factors: multiples of the recipe's learning rate that tuning tries.
        tuning_seeds: networks trained for each.
        task_loss: what an adaptive loss is to lower; the default loss where empty.
    """

    losses: tuple[str, ...]
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    seeds: int
    first_seed: int
    recipe: Recipe
    adalfl: AdaLFL
    adapt_on: AdaptOn
    tune: Tune
    factors: tuple[float, ...]
    tuning_seeds: int
    task_loss: str = ""

    def __post_init__(self) -> None:
        for name in ("losses", "tasks", "models"):
            values = getattr(self, name)
            require(len(values) > 0, f"give at least one of --{name}")
            require(len(set(values)) == len(values), f"--{name} names one twice")
        require_whole("seeds", self.seeds, 1)
        require_whole("seed", self.first_seed, 0)
        require_whole("tuning_seeds", self.tuning_seeds, 1)
        for factor in self.factors:
            require_in_range("factors", factor, 0, exclude_low=True)

    def training_config(self, cell: Cell) -> TrainingConfig:
        """Return how a cell's network is trained."""
        recipe = replace(self.recipe, learning_rate=cell.learning_rate)
        return TrainingConfig(cell.loss, recipe, self.adalfl, self.adapt_on, self.task_loss)

    def entries(self) -> Iterator[Entry]:
        """Return what is compared, in the order of the tables."""
        return starmap(Entry, product(self.tasks, self.models, self.losses))

    def is_tuned(self, loss: str, handcrafted: bool) -> bool:
        """Tell whether a loss has a tuned entry."""
        return self.tune == "all" or (self.tune == "handcrafted" and handcrafted)

    def tuning_cells(self, task: str, model: str, loss: str) -> Iterator[Cell]:
        """Return the trainings among which a learning rate is chosen."""
        rates = [factor * self.recipe.learning_rate for factor in self.factors]
        for rate, run in product(rates, range(self.tuning_seeds)):
            yield Cell(task, model, loss, rate, TUNING_SEED + run)

    def cells(self, task: str, model: str, loss: str, rate: float) -> list[Cell]:
        """Return the trainings of one entry, a seed each."""
        return [Cell(task, model, loss, rate, self.first_seed + run) for run in range(self.seeds)]


Outcomes = Mapping[str, Outcome]
"""by a cell's key"""


def best_rate(cells: Sequence[Cell], outcomes: Outcomes) -> float:
    """Return the learning rate of the lowest mean metric on validation data.

    Examples:
        >>> cells = [Cell("t", "m", "mse", rate, 0) for rate in (0.1, 1.0)]
        >>> outcomes = {
        ...     cell.key: Outcome(cell.learning_rate, 0.0, 1, ()) for cell in cells
        ... }
        >>> best_rate(cells, outcomes)
        0.1
    """
    rates = sorted({cell.learning_rate for cell in cells})

    def mean(rate: float) -> float:
        return fmean(outcomes[cell.key].valid for cell in cells if cell.learning_rate == rate)

    return min(rates, key=mean)


@final
@dataclass(frozen=True)
class Line:
    """One entry of a table: a loss at a learning rate, on one task and network.

    Attributes:
        task: by name.
        model: by name.
        loss: by name.
        learning_rate: of the network's optimizer.
        is_tuned: whether that was chosen on validation data.
        outcomes: one a seed.
        is_handcrafted: whether a person wrote the loss; tuned ones are rivals.
    """

    task: str
    model: str
    loss: str
    learning_rate: float
    is_tuned: bool
    outcomes: tuple[Outcome, ...]
    is_handcrafted: bool = False

    @property
    def name(self) -> str:
        """What people read."""
        return f"{self.loss}, tuned rate {self.learning_rate:g}" if self.is_tuned else self.loss

    @property
    def tests(self) -> list[float]:
        """The costs on test data, one number a seed."""
        return [outcome.test for outcome in self.outcomes]

    @property
    def valids(self) -> list[float]:
        """The costs on validation data, one number a seed."""
        return [outcome.valid for outcome in self.outcomes]

    def shown(self, metric: Metric) -> "Line":
        """Return the same with the values of a metric in place of its costs."""
        return replace(self, outcomes=tuple(each.shown(metric) for each in self.outcomes))
