"""Learning an adaptive loss before training, from the best scale and at the best horizon.

A residual loss begins as the default one, at the scale under which a network does best, and must
become better than it. Where it has a form, the number of the form is chosen with the scale: label
smoothing shows in whole trainings where one step ahead it does not. Trainings of all pairs are
halved (Jamieson & Talwalkar, arXiv 1502.07943), and judged by cross-entropy at its best
temperature, which ranks losses as the error of long trainings does, and sooner.

A loss that only ever sees the first step of a fresh network learns to take it as far as it will
go, and knows nothing of what comes after: how large steps may be later, and where to rest. One
that sees many steps learns less of the first ones. Which of the two a training needs depends on
task and network, so the loss of each is put to a trial, and the best gone on with, in trials too.

Neither is in the paper.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, product
from operator import attrgetter, length_hint
from typing import Any, TypeVar, final

import torch
from torch import Tensor, nn

from lossforge.errors import ConfigurationError, DataError, DivergedError
from lossforge.losses import CalibratedCrossEntropy, NeuralLoss
from lossforge.tasks import Kind
from lossforge.training.hypergradient import OnlineStep, TrainState, plain_step
from lossforge.training.hypergradient.state import Batch
from lossforge.training.module import Buffers

Item = TypeVar("Item")

Pairs = Iterator[tuple[Batch, Batch]]
"""a training and a validation batch"""

Adapt = Callable[[torch.optim.Optimizer, Batch, Batch], OnlineStep]
"""Trains the network for a step and the loss for one, by that optimizer of its weights."""

TRIAL_BATCHES = 16
"""validation batches that judge a warm-up, at most"""

RUNGS = (4, 2, 1)
"""A trial's steps are divided by these, in turn."""
KEPT = 3
"""One of so many beginnings goes on to the next rung."""


@final
@dataclass(frozen=True)
class WarmUp:
    """How a loss is learned before training.

    Attributes:
        steps: meta steps.
        learning_rate: of Adam on the loss's weights.
        scales: of the default loss. The smallest that in a trial does as well as the best, within a
            standard error, is begun with, and what is learned taken if it does better by one.
            Empty where the loss has no share of the default one.
        numbers: of the loss's form, each tried with each scale; empty where it has no form.
        horizons: steps of the network before it is set back to its first weights. Of several, the
            one that does best in a first trial is gone on with, and the best loss on the way taken.
        trial_every: meta steps between trials, where there are several scales or horizons.
        trial_steps: steps of training under the loss before a trial's metric is measured.
    """

    steps: int
    learning_rate: float
    scales: tuple[float, ...]
    numbers: tuple[float, ...]
    horizons: tuple[int, ...]
    trial_every: int
    trial_steps: int

    def __call__(
        self,
        state: TrainState,
        loss: NeuralLoss,
        adapt: Adapt,
        pairs: Pairs,
        judged: Sequence[Batch],
        progress: Callable[[int, int], None] | None,
        restart: Callable[[], None] | None = None,
    ) -> int:
        """Learn the loss, and leave the network as it was.

        Args:
            state: the network and its optimizer.
            loss: that is learned.
            adapt: trains the network for a step and the loss for one.
            pairs: training and validation batches to learn from.
            judged: validation batches that trials are judged on, with each row once.
            progress: receives the number of steps done and their total.
            restart: gives the network new first weights; None keeps those that it has.

        Returns:
            The horizon at which the loss was learned; 0 where nothing learned did better than the
            default loss at its best scale.

        Raises:
            DivergedError: training did, in every trial where there are several.
        """
        adam = torch.optim.Adam(loss.parameters(), self.learning_rate)
        ticks = _Ticks(progress, self._total())
        course = _Course(state, loss, adam, adapt, pairs, judged, ticks, restart)
        if not self.tries:
            for beginning in self._beginnings():
                beginning.set(loss)
            course.learn(self.steps, self.horizons[0])
            return self.horizons[0] if self.steps else 0
        begun, *learned = self._attempts(course)
        # Not the last: a loss that was good may learn to take steps that break later ones.
        best = _simplest([begun, min([begun, *learned], key=attrgetter("score"))])
        course.restore(best.state)
        return best.horizon

    @property
    def tries(self) -> bool:
        """Whether there is a choice to make, by trials."""
        several = len(self._beginnings()) > 1
        return several or (len(self.horizons) > 1 and self.steps > 0)

    def _attempts(self, course: "_Course") -> Iterator["_Attempt"]:
        """Yield the beginning, a first stretch at the best horizon, and each one after it."""
        last = self._begun(course)
        yield last
        for index, steps in enumerate(self._stretches()):
            horizons = (last.horizon,) if index else self.horizons
            try:
                made = _made(partial(self._stretched, course, last, at, steps) for at in horizons)
            except DivergedError:
                if math.isinf(last.score):
                    raise
                return
            last = min(made, key=attrgetter("score"))
            yield last

    def _begun(self, course: "_Course") -> "_Attempt":
        """Return the default loss at its best scale; without scales the loss as it is, untried."""
        if not self.scales:
            return _Attempt(WarmUpTrial(math.inf, 0), 0, course.state())
        left = [_untried(course, one) for one in self._beginnings()]
        for count, steps in self._rungs():
            left = _made(partial(_tried, course, one, steps) for one in _best(left, count))
        return _simplest(left)

    def _beginnings(self) -> list["_Beginning"]:
        """Return scales, with numbers where there are some, the simplest first."""
        return [
            _Beginning(scale, number)
            for scale, number in product(sorted(self.scales), sorted(self.numbers) or (None,))
        ]

    def _rungs(self) -> list[tuple[int, int]]:
        """Return how many beginnings are tried in each rung, and for how many steps."""
        count = len(self._beginnings())
        if count == 1 or not self.numbers:
            return [(count, self.trial_steps)]
        return [
            (math.ceil(count / KEPT**rung), math.ceil(self.trial_steps / part))
            for rung, part in enumerate(RUNGS)
        ]

    def _stretched(
        self, course: "_Course", last: "_Attempt", horizon: int, steps: int
    ) -> "_Attempt":
        course.restore(last.state)
        course.learn(steps, horizon)
        return _Attempt(course.trial(self.trial_steps), horizon, course.state())

    def _stretches(self) -> list[int]:
        """Return the meta steps before each trial."""
        begins = range(0, self.steps, self.trial_every)
        return [min(self.trial_every, self.steps - begin) for begin in begins]

    def _total(self) -> int:
        """Return all steps, those of the trials included."""
        if not self.tries:
            return self.steps
        stretches = [steps + self.trial_steps for steps in self._stretches()]
        again = (len(self.horizons) - 1) * sum(stretches[:1])
        return sum(map(math.prod, self._rungs())) + again + sum(stretches)


def _made(attempts: Iterable[Callable[[], "_Attempt"]]) -> list["_Attempt"]:
    """Return the attempts that did not diverge; raise what went wrong where all did."""
    made = list[_Attempt]()
    for attempt in attempts:
        try:
            made.append(attempt())
        except DivergedError as error:
            failure = error
    if not made:
        raise failure
    return made


def _untried(course: "_Course", beginning: "_Beginning") -> "_Attempt":
    beginning.set(course.loss)
    return _Attempt(WarmUpTrial(math.inf, 0), 0, course.state())


def _tried(course: "_Course", attempt: "_Attempt", steps: int) -> "_Attempt":
    course.restore(attempt.state)
    return replace(attempt, trial=course.trial(steps))


def _best(attempts: Sequence["_Attempt"], count: int) -> list["_Attempt"]:
    """Return those with the lowest scores, in the order in which they are."""
    ranked = sorted(range(len(attempts)), key=lambda index: attempts[index].score)
    return [attempts[index] for index in sorted(ranked[:count])]


def _simplest(attempts: Sequence["_Attempt"]) -> "_Attempt":
    """Return the first that does as well as the best, but for the latter's standard error.

    A scale that seems better by less makes larger steps for nothing, and some later one breaks.
    """
    best = min(attempts, key=attrgetter("score"))
    return next(one for one in attempts if one.score <= best.score + best.trial.error)


@final
@dataclass(frozen=True)
class _Beginning:
    """A residual loss that has learned nothing; `number` is its form's, None without one."""

    scale: float
    number: float | None

    def set(self, loss: NeuralLoss) -> None:
        loss.set_scale(self.scale)
        if self.number is not None:
            loss.set_number(self.number)


@final
@dataclass(frozen=True)
class WarmUpTrial:
    """What judges a short training.

    Attributes:
        score: the mean over validation rows.
        error: the mean's standard error.
    """

    score: float
    error: float


@final
@dataclass(frozen=True)
class _Attempt:
    """A warm-up as far as its trial.

    Attributes:
        trial: what it measured.
        horizon: at which the loss was learned; 0 where nothing was.
        state: of loss and Adam.
    """

    trial: WarmUpTrial
    horizon: int
    state: dict[str, Any]

    @property
    def score(self) -> float:
        """The trial's."""
        return self.trial.score


@final
@dataclass(frozen=True)
class _Course:
    """What a warm-up goes on with."""

    train: TrainState
    loss: NeuralLoss
    adam: torch.optim.Adam
    adapt: Adapt
    pairs: Pairs
    judged: Sequence[Batch]
    tick: "_Ticks"
    restart: Callable[[], None] | None = None

    def state(self) -> dict[str, Any]:
        return deepcopy({"loss": self.loss.state_dict(), "adam": self.adam.state_dict()})

    def restore(self, state: dict[str, Any]) -> None:
        self.loss.load_state_dict(state["loss"])
        self.adam.load_state_dict(deepcopy(state["adam"]))

    def learn(self, steps: int, horizon: int) -> None:
        """Make meta steps."""
        for begin in range(0, steps, horizon):
            with _Rewound(self.train, self.restart):
                for batch, held_out in islice(self.pairs, min(horizon, steps - begin)):
                    self.adapt(self.adam, batch, held_out)
                    self.tick()

    def trial(self, steps: int) -> WarmUpTrial:
        """Judge a training under the loss as it is on validation batches."""
        with _Rewound(self.train, None):
            with self.loss.constant_left_out():
                for batch, _ in islice(self.pairs, steps):
                    plain_step(self.train, self.loss, [batch])
                    self.tick()
            rows = _costs(self.train, self.judged, self.loss)
        error = rows.std(correction=0) / math.sqrt(len(rows))
        summary = torch.stack([rows.mean(), error]).double()
        self.train.average([summary])  # every process must come to the same choice
        found = WarmUpTrial(*summary.tolist())
        if not math.isfinite(found.score):
            raise DivergedError(
                "the network's outputs are not finite after training under the loss"
            )
        return found


@final
class _Ticks:
    """Counts steps, and tells of them."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int):
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


@final
class _Rewound:
    """Inside the block the optimizer is fresh; after it, all is as it was before.

    Args:
        state: the network and its optimizer.
        restart: gives the network new weights inside the block; None keeps those that it has.
    """

    def __init__(self, state: TrainState, restart: Callable[[], None] | None):
        self._train, self._restart = state, restart

    def __enter__(self) -> None:
        train = self._train
        self._weights = [theta.detach().clone() for theta in train.parameters]
        self._buffers = Buffers(train.module)
        self._state = train.optimizer.state
        train.optimizer.state = defaultdict(dict)
        if self._restart is not None:
            self._restart()

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        train = self._train
        train.optimizer.state = self._state
        for theta, weights in zip(train.parameters, self._weights, strict=True):
            theta.copy_(weights)
        self._buffers.restore()


def first_pass(batches: Iterable[Item]) -> list[Item]:
    """Return the batches of one pass, `TRIAL_BATCHES` at most, so that no row is there twice.

    An iterator without an end tells by ``__length_hint__`` how many batches a pass has.

    Raises:
        DataError: there are none.

    Examples:
        >>> first_pass([1, 2, 3])
        [1, 2, 3]
    """
    found = list(islice(batches, min(TRIAL_BATCHES, length_hint(batches, TRIAL_BATCHES))))
    if not found:
        raise DataError("there are no validation batches to judge a warm-up by; pass some")
    return found


@torch.no_grad()
def load_weights_of(state: TrainState, fresh: Callable[[], nn.Module]) -> None:
    """Give the network of a training the weights and buffers of a fresh one.

    Raises:
        ConfigurationError: the fresh network is not like it.
    """
    module = getattr(state.module, "_orig_mod", state.module)  # of a compiled model
    try:
        module.load_state_dict(fresh().state_dict())
    except RuntimeError as error:
        raise ConfigurationError(
            "fresh must return a network like the model that is trained: "
            f"{str(error).splitlines()[-1].strip()}"
        ) from None


@torch.no_grad()
def _costs(state: TrainState, batches: Iterable[Batch], loss: NeuralLoss) -> Tensor:
    """Return what judges each row that counts, in evaluation mode.

    It is the metric; for a loss with a form cross-entropy at the best temperature of each batch.
    """
    was_training = state.module.training
    state.module.eval()
    cost = _calibrated if loss.architecture.form else _scores
    found = [cost(loss.kind, state.rerun(x).float(), y) for x, y in batches]
    state.module.train(was_training)
    return torch.cat(found)


def _scores(kind: Kind, outputs: Tensor, targets: Tensor) -> Tensor:
    return kind.scores(outputs, targets)


def _calibrated(kind: Kind, outputs: Tensor, targets: Tensor) -> Tensor:
    rows = kind.rows(outputs, targets)
    z, y = rows.outputs, rows.targets
    if rows.ignored is not None:
        z, y = z[~rows.ignored], y[~rows.ignored]
    if not z.isfinite().all():
        return torch.full_like(z[:, 0], math.inf)
    return CalibratedCrossEntropy().per_row(z, y)
