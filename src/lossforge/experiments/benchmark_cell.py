"""One cell of a benchmark: a method on one split of a task, from the search to the test.

A cell is a function of its job alone, so cells may be carried out in any order and anywhere. The
seed of a repetition decides its split, its search and its trainings; all methods of a repetition
are trained from the same initialization on the same batches. Test rows are used once, after the
loss and its learning rate are chosen on validation rows.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, assert_never, final

from lossforge import __version__
from lossforge.errors import DivergedError, LossforgeError
from lossforge.experiments.benchmark_settings import Setting, some_rows
from lossforge.experiments.measured import metric_facts
from lossforge.experiments.search_run import CALIBRATION, copies_weights, weighted_like
from lossforge.files import plain
from lossforge.losses import Loss
from lossforge.losses.storage import digest
from lossforge.methods import AdaLFL, State
from lossforge.methods.training_config import TrainingConfig
from lossforge.randomness import derive_seed
from lossforge.runs import MemoryRun, Run, RunJournal
from lossforge.searching import (
    Calibrator,
    Fitness,
    Method,
    Progress,
    RatedLoss,
    make_problems,
)
from lossforge.searching.calibrate import FIRST_POWERS, grid_rate, neighbors
from lossforge.tasks import Task, load
from lossforge.tasks.metrics import Metric
from lossforge.training.full import Outcome

HANDCRAFTED_CELL = "handcrafted"
"""name of the cell that holds the handcrafted losses"""

DEFAULT = "default loss"
DEFAULT_TUNED = "default loss, tuned rate"
RIVAL = "best handcrafted"
REFERENCES = (DEFAULT, DEFAULT_TUNED, RIVAL)
"""entries of every benchmark: the default loss at the common learning rate and at its best one,
and the best handcrafted loss at its best one"""

LEARNED = "learned"

Entrant = Method[Any, Any] | Loss | str
"""what a benchmark compares: a search, a fixed loss, or the name of a loss that adapts"""


@final
@dataclass(frozen=True)
class CellJob:
    """All that a cell depends on; it can be pickled.

    Attributes:
        setting: the task with its network, and how much is trained.
        entry: what tables call the method; `HANDCRAFTED_CELL` for the handcrafted losses.
        method: a search method, a loss that is only tuned, or the name of a loss that adapts in
            training; None for the handcrafted losses.
        seed: of the repetition.
        adalfl: settings of losses that adapt in training.
        data_dir: where data sets that come from files are.
        device: of networks and data.
    """

    setting: Setting
    entry: str
    method: Entrant | None
    seed: int
    adalfl: AdaLFL
    data_dir: str | None = None
    device: str = "cpu"

    @property
    def title(self) -> str:
        """What progress calls the cell."""
        return f"{self.setting.name}, {self.entry}, seed {self.seed}"

    @property
    def key(self) -> str:
        """Name of the cell's folder, which no other cell of a benchmark has."""
        words = (self.setting.task, self.setting.model, self.entry)
        digest = hashlib.sha256("|".join(words).encode()).hexdigest()[:6]
        short = "-".join(re.sub(r"[^\w.-]+", "_", word)[-24:] for word in words)
        return f"{short}-{digest}-{self.seed}"

    def config(self) -> State:
        """Return what determines the cell, as plain data."""
        config: State = plain(
            {
                "version": __version__,
                "command": "benchmark cell",
                "setting": self.setting.config(),
                "entry": self.entry,
                "method": None if self.method is None else entrant_config(self.method),
                "adalfl": asdict(self.adalfl),
                "seed": self.seed,
                "device": self.device,
            }
        )
        return config


def entrant_config(entrant: Entrant) -> State | str:
    """Return what determines a method or a loss, as plain data."""
    match entrant:
        case str():
            return entrant
        case Method():
            return {"name": entrant.name, "settings": entrant.settings()}
        case Loss():
            return {"loss": str(entrant), "digest": digest(entrant)}
    assert_never(entrant)


@final
@dataclass(frozen=True)
class CellResult:
    """What came of a cell.

    Attributes:
        content: what the cell's ``result.json`` holds.
        loss: that was found; None for the handcrafted losses, and where none could train.
    """

    content: State
    loss: Loss | None = None


def carry_out(job: CellJob, run: Run | None = None, progress: Progress | None = None) -> CellResult:
    """Carry out a cell.

    Args:
        job: the cell.
        run: where searches keep their checkpoints and continue from; by default nothing is kept.
        progress: receives a stage's name, the steps done and their total.
    """
    run = MemoryRun(job.config()) if run is None else run
    return _Cell(job, run, progress or _ignore).result()


@lru_cache(maxsize=2)
def _load_split(
    name: str,
    seed: int,
    train_rows: int,
    valid_rows: int,
    metric: str,
    data_dir: str | None,
    device: str,
) -> Task:
    task = load(name, split_seed=seed, data_dir=data_dir, device=device)
    train, valid = some_rows(task.train, train_rows, seed), some_rows(task.valid, valid_rows, seed)
    task = replace(task, train=train, valid=valid)
    return task.with_metric(metric) if metric else task


def load_split(setting: Setting, seed: int, data_dir: str | None, device: str) -> Task:
    """Return a setting's task on the split of a repetition; the last ones are kept in memory.

    Args:
        setting: names the task, the metric, and how many rows are kept.
        seed: of the repetition.
        data_dir: where data sets that come from files are.
        device: of the data.

    Raises:
        ConfigurationError: the metric is not for tasks of the kind.
    """
    rows = (setting.train_rows, setting.valid_rows)
    return _load_split(setting.task, seed, *rows, setting.metric, data_dir, device)


def forget_splits() -> None:
    """Forget the splits in memory: files may have changed since they were read."""
    _load_split.cache_clear()


@final
class _Cell:
    """A cell that is being carried out."""

    def __init__(self, job: CellJob, run: Run, progress: Progress):
        self._job, self._run, self._progress = job, run, progress
        self._setting, self._recipe = job.setting, job.setting.recipe
        self._task = load_split(job.setting, job.seed, job.data_dir, job.device)
        self._metric = self._task.measure
        (self._problem,) = make_problems(self._task, job.setting.model)
        self._base = job.setting.base
        self._calibration = run.child(CALIBRATION, job.config())
        self._calibrator = self._make_calibrator()
        self._steps_of_trainings = 0

    def result(self) -> CellResult:
        """Return what comes of the cell."""
        match self._job.method:
            case None:
                return self._handcrafted()
            case Method() as method:
                return self._searched(method)
            case entrant:
                return self._entered(entrant)

    def _handcrafted(self) -> CellResult:
        """Tune the handcrafted losses and test those that a learned loss is held against."""
        calibrated = self._calibrator.calibrate()
        rates = {calibrated.default: self._rate(calibrated.default, calibrated.default.name)}
        if calibrated.best not in rates:
            rates[calibrated.best] = self._rate(calibrated.best, calibrated.best.name)
        common = self._recipe.learning_rate
        contenders = {
            DEFAULT: (calibrated.default.name, common),
            DEFAULT_TUNED: (calibrated.default.name, rates[calibrated.default]),
            RIVAL: (calibrated.best.name, rates[calibrated.best]),
        }
        outcomes = {each: self._train(*each) for each in dict.fromkeys(contenders.values())}
        rows = [
            _row(entry, *contender, outcomes[contender], self._metric)
            for entry, contender in contenders.items()
        ]
        rated = [each.shown(self._metric).row() for each in calibrated.losses]
        more = {"calibration": rated}
        return CellResult(self._content(rows, more))

    def _searched(self, method: Method[Any, Any]) -> CellResult:
        """Search, tune the learning rate of what was found, and test it."""
        journal = RunJournal(self._run, _Listener(self._progress))
        try:
            copies = copies_weights(method, self._task)
            calibrated = self._calibrator.calibrate() if copies else None
            method = weighted_like(method, calibrated, self._task)
            found = method.run(self._task, self._setting.model, self._job.seed, journal=journal)
        except LossforgeError as error:
            if type(error) not in (LossforgeError, DivergedError):
                raise
            outcome = Outcome(math.inf, math.inf, 0, (), f"the search found nothing: {error}")
            row = _row(self._job.entry, "none", None, outcome, self._metric)
            return CellResult(self._content([row], {}))
        counts = dict(found.counts)
        more = {
            "candidates": counts.get("candidates", found.evaluations),
            "search_steps": counts.get("training steps"),
            "counts": counts,
            "fitness": found.valid,
        }
        return self._tested(found.loss, str(found.loss), more)

    def _entered(self, entrant: Loss | str) -> CellResult:
        """Tune the learning rate of a loss that needs no search, and test it."""
        return self._tested(entrant, str(entrant), {})

    def _tested(self, loss: Loss | str, text: str, more: State) -> CellResult:
        tuned = None if isinstance(loss, str) else self._calibrator.tune(LEARNED, loss)
        rate = self._rate(tuned, loss)
        row = _row(self._job.entry, text, rate, self._train(loss, rate), self._metric)
        return CellResult(self._content([row], more), None if isinstance(loss, str) else loss)

    def _rate(self, tuned: RatedLoss | None, loss: Loss | str) -> float:
        """Return a loss's best learning rate in trainings by the recipe.

        Calibration trains at constant rates; under a schedule the best rate is another, and a loss
        that adapts has none that calibration could find. These are tuned by trainings in full, over
        a grid that grows until the best is inside it.
        """
        if tuned is not None and self._recipe.schedule == "constant":
            return tuned.learning_rate
        start = self._recipe.learning_rate if tuned is None else tuned.learning_rate
        first = FIRST_POWERS if tuned is None else (-1, 0, 1)
        valid: dict[int, float] = {}
        wanted = set(first)
        while wanted:
            for power in sorted(wanted):
                outcome = self._train(loss, grid_rate(start, power), purpose="tuning")
                valid[power] = outcome.valid
            best = min(valid, key=lambda power: _badness(power, valid[power]))
            wanted = neighbors(best) - set(valid)
        return grid_rate(start, best)

    def _train(self, loss: Loss | str, rate: float, purpose: str = "closing") -> Outcome:
        """Train a network in full; only a closing training's test metric is kept."""
        recipe = replace(self._recipe, learning_rate=rate)
        config = TrainingConfig(loss, recipe, self._job.adalfl)
        seed = derive_seed(self._job.seed, "benchmark", purpose)
        self._steps_of_trainings += recipe.steps if purpose == "tuning" else 0
        try:
            training = config.begin(self._task, self._setting.model, seed, self._warming_up)
        except DivergedError as error:
            return Outcome(math.inf, math.inf, 0, (), str(error))
        return training.run(lambda: None, self._progress)

    def _warming_up(self, done: int, total: int) -> None:
        self._progress("warming up", done, total)

    def _make_calibrator(self) -> Calibrator:
        return Calibrator(
            self._setting.calibration,
            Fitness(self._recipe.steps, racing=False),
            [self._problem],
            self._base,
            self._job.seed,
            RunJournal(self._calibration, _Listener(self._progress)),
        )

    def _content(self, rows: Sequence[State], more: State) -> State:
        job, setting = self._job, self._setting
        content: State = plain(
            {
                "task": setting.task,
                "model": setting.model,
                "entry": job.entry,
                "seed": job.seed,
                **metric_facts(self._metric),
                "rows": rows,
                "candidates": 0,
                "search_steps": 0,
                "tuning_steps": self._calibrator.training_steps + self._steps_of_trainings,
                **more,
                "data": self._task.fingerprint(),
                "seconds": round(max(self._run.seconds, self._calibration.seconds), 3),
                "version": __version__,
            }
        )
        return content


@final
class _Listener:
    """Passes a stage's progress on, and not its history."""

    def __init__(self, progress: Progress):
        self._progress = progress

    def generation(self, entry: State) -> None:
        """Keep the line of history to the run."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Receive progress of the current stage."""
        self._progress(stage, done, total)


def _row(entry: str, loss: str, rate: float | None, outcome: Outcome, metric: Metric) -> State:
    return {
        "entry": entry,
        "loss": loss,
        "rate": rate,
        "valid": metric.shown(outcome.valid),
        "test": metric.shown(outcome.test),
        "step": outcome.step,
        "failure": outcome.failure,
    }


def _badness(power: int, valid: float) -> tuple[float, int]:
    """Order powers of a grid: among equals the nearest to 0, where all diverged the lowest."""
    return valid, abs(power) if math.isfinite(valid) else power


def _ignore(stage: str, done: int, total: int) -> None:
    """Show no progress."""
