"""Learning an adaptive loss before training, at one horizon or at the best of several.

A loss that only ever sees the first step of a fresh network learns to take it as far as it will
go, and knows nothing of what comes after: how large steps may be later, and where to rest. One
that sees many steps learns less of the first ones. Which of the two a training needs depends on
task and network, so each horizon's loss is put to a trial (not in the paper).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any, final

import torch
from torch import Tensor

from lossforge.errors import DataError
from lossforge.losses import NeuralLoss
from lossforge.tasks import Kind
from lossforge.training.metrics import metric_per_example
from lossforge.training.online import Inputs, OnlineStep, Trainee, plain_step

Batch = tuple[Inputs, Tensor]
"""inputs and targets"""

Pairs = Iterator[tuple[Batch, Batch]]
"""a training and a validation batch"""

Adapt = Callable[[torch.optim.Optimizer, Batch, Batch], OnlineStep]
"""Trains the network for a step and the loss for one, by that optimizer of its weights."""

# Validation batches that judge a warm-up.
TRIAL_BATCHES = 16


@final
@dataclass(frozen=True)
class WarmUp:
    """How a loss is learned before training.

    Attributes:
        steps: meta steps at each horizon.
        learning_rate: of Adam on the loss's weights.
        horizons: steps of the network before it is set back to its first weights.
        trial_steps: steps of training under the loss before its trial's metric is measured; there
            is no trial of a single horizon.
    """

    steps: int
    learning_rate: float
    horizons: tuple[int, ...]
    trial_steps: int

    def __call__(
        self,
        trainee: Trainee,
        loss: NeuralLoss,
        adapt: Adapt,
        pairs: Pairs,
        progress: Callable[[int, int], None] | None,
    ) -> int:
        """Leave the loss as learned at the best horizon, the network as it was; return the horizon.

        Raises:
            DataError: at every horizon training broke off.
        """
        has_trial = len(self.horizons) > 1 and self.steps > 0
        total = len(self.horizons) * (self.steps + self.trial_steps) if has_trial else self.steps
        tick = _Ticks(progress, total)
        if not has_trial:
            self._learn(self.horizons[0], trainee, loss, adapt, pairs, tick)
            return self.horizons[0]
        first, attempts = deepcopy(loss.state_dict()), list[_Attempt]()
        for horizon in self.horizons:
            loss.load_state_dict(first)
            try:
                self._learn(horizon, trainee, loss, adapt, pairs, tick)
                score = self._trial(trainee, loss, pairs, tick)
            except DataError as error:
                failure = error
            else:
                attempts.append(_Attempt(score, horizon, deepcopy(loss.state_dict())))
        if not attempts:
            raise failure
        best = min(attempts, key=lambda attempt: attempt.score)
        loss.load_state_dict(best.loss)
        return best.horizon

    def _learn(
        self,
        horizon: int,
        trainee: Trainee,
        loss: NeuralLoss,
        adapt: Adapt,
        pairs: Pairs,
        tick: "_Ticks",
    ) -> None:
        adam = torch.optim.Adam(loss.parameters(), self.learning_rate)
        for begin in range(0, self.steps, horizon):
            with _Rewound(trainee):
                for batch, held_out in islice(pairs, min(horizon, self.steps - begin)):
                    adapt(adam, batch, held_out)
                    tick()

    def _trial(self, trainee: Trainee, loss: NeuralLoss, pairs: Pairs, tick: "_Ticks") -> float:
        """Return the metric on validation batches after training under the loss as it is."""
        with _Rewound(trainee):
            for batch, _ in islice(pairs, self.trial_steps):
                plain_step(trainee, loss, *batch)
                tick()
            held_out = [batch for _, batch in islice(pairs, TRIAL_BATCHES)]
            score = _metric(trainee, held_out, loss.kind)
        if not math.isfinite(score):
            raise DataError("the network's outputs are not finite after training under the loss")
        return score


@final
@dataclass(frozen=True)
class _Attempt:
    """A warm-up: the metric after its trial, its horizon, and the loss."""

    score: float
    horizon: int
    loss: dict[str, Any]


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
    """Inside the block the optimizer is fresh; after it, all is as it was before."""

    def __init__(self, trainee: Trainee):
        self._trainee = trainee

    def __enter__(self) -> None:
        trainee = self._trainee
        self._weights = [theta.detach().clone() for theta in trainee.mirror.parameters()]
        self._buffers = trainee.buffers()
        self._state = trainee.optimizer.state
        trainee.optimizer.state = defaultdict(dict)

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        trainee = self._trainee
        trainee.optimizer.state = self._state
        for theta, weights in zip(trainee.mirror.parameters(), self._weights, strict=True):
            theta.copy_(weights)
        for name, buffer in trainee.model.named_buffers():
            buffer.copy_(self._buffers[name])


def endless(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the batches again and again; raise `DataError` where there are none left."""
    for again in repeat(batches):
        empty = True
        for batch in again:
            empty = False
            yield batch
        if empty:
            raise DataError(
                "there are no batches to learn from, or an iterator ran out; pass a "
                "loader or a list, which can be begun anew"
            )


@torch.no_grad()
def _metric(trainee: Trainee, batches: Iterable[Batch], kind: Kind) -> float:
    """Return the metric in evaluation mode."""
    was_training = trainee.model.training
    trainee.model.eval()
    scores = [mistakes(trainee.outputs(None, x).float(), y, kind) for x, y in batches]
    trainee.model.train(was_training)
    return float(torch.stack(scores).mean())


def mistakes(outputs: Tensor, targets: Tensor, kind: Kind) -> Tensor:
    """Return the mean metric of outputs [B, C, ...], each position counting as a row."""
    classes = outputs.shape[1]
    rows = outputs.movedim(1, -1).reshape(-1, classes)
    if kind == "regression":
        aligned = targets.reshape(outputs.shape).movedim(1, -1)
        return metric_per_example(rows, aligned.reshape(-1, classes), kind).mean()
    labels = targets.argmax(1) if targets.shape == outputs.shape and classes > 1 else targets
    return metric_per_example(rows, labels.reshape(-1), kind).mean()
