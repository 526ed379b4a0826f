"""Full training of one network: a recipe, checks on validation data, the best weights, the test.

The test data are looked at once, with the weights that did best on validation data.
"""

import io
import math
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, final

import torch
from torch import Tensor, nn

from lossforge.errors import DivergedError
from lossforge.losses.loss import Loss
from lossforge.randomness import derive_seed, isolated_seed, torch_generator
from lossforge.tasks import Batches, Split, Task
from lossforge.tasks.metrics import Metric
from lossforge.tensor_files import load_tensors
from lossforge.training.hypergradient import OptimizerResponse, TrainState, plain_step
from lossforge.validation import require, require_in_range

EVALUATION_ROWS = 1024

RISE, FIRST, LAST = 0.3, 1 / 25, 1 / 25e4
"""of a one-cycle schedule: share of the steps in which it rises, and factors at its ends"""

Progress = Callable[[str, int, int], None]


def one_cycle(step: int, steps: int) -> float:
    """Return the factor on the learning rate of a step, the first being 0.

    Source: Smith & Topin, "Super-Convergence" (arXiv 1708.07120); with the numbers of PyTorch.

    Examples:
        >>> [round(one_cycle(step, 101), 3) for step in (0, 29, 100)]
        [0.04, 1.0, 0.0]
    """
    peak, last = max(0.0, RISE * steps - 1), steps - 1
    begin, end, share = (FIRST, 1.0, step / peak) if step < peak else (1.0, LAST, 0.0)
    if step >= peak and last > peak:
        share = (step - peak) / (last - peak)
    return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * share))


@final
@dataclass(frozen=True)
class Recipe:
    """How a network is trained in full."""

    steps: int = 10_000
    """training steps of the network"""
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    """optimizer of the network"""
    learning_rate: float = 0.01
    """learning rate of the network's optimizer, before the schedule"""
    momentum: float = 0.9
    """momentum of the network's optimizer; with sgd alone"""
    nesterov: bool = True
    """use Nesterov momentum; with sgd alone"""
    weight_decay: float = 5e-4
    """L2 penalty on the network's weights; decoupled from the gradient with adamw"""
    batch_size: int = 128
    """rows in a training batch; a task with fewer rows gives all of them"""
    schedule: Literal["constant", "cosine", "multistep", "one_cycle"] = "constant"
    """schedule of the learning rate: constant, cosine decay to 0, lowered at the milestones, or
    one_cycle: up from a 25th over the first 30 % of the steps, then down to nearly 0, as PyTorch's
    OneCycleLR without its cycle of the momentum"""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """fractions of the training steps after which a multistep schedule lowers the learning rate"""
    decay: float = 0.1
    """factor on the learning rate at each milestone of a multistep schedule"""
    check_every: int = 250
    """training steps between evaluations on validation data"""
    patience: int = 0
    """evaluations without improvement after which training stops; 0 never stops early"""
    keep_best: bool = True
    """test the weights with the best validation metric; else the last ones"""
    clip_norm: float | None = None
    """maximum norm of the gradient, which is clipped above it; by default no clipping"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """float32, or bfloat16 for mixed precision, which is faster on a GPU"""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "check_every"):
            require_in_range(name, getattr(self, name), 1)
        require_in_range("learning_rate", self.learning_rate, 0, exclude_low=True)
        for name in ("weight_decay", "patience", "decay"):
            require_in_range(name, getattr(self, name), 0)
        require_in_range("momentum", self.momentum, 0, 1)
        require(
            not (self.nesterov and self.optimizer == "sgd") or self.momentum > 0,
            "nesterov needs a momentum above 0; set momentum or pass --no-nesterov",
        )
        for milestone in self.milestones:
            require_in_range("milestones", milestone, 0, 1)
        if self.clip_norm is not None:
            require_in_range("clip_norm", self.clip_norm, 0, exclude_low=True)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, the first being 0."""
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * step / self.steps))
        if self.schedule == "multistep":
            passed = sum(step >= share * self.steps for share in self.milestones)
            return float(self.learning_rate * self.decay**passed)
        if self.schedule == "one_cycle":
            return self.learning_rate * one_cycle(step, self.steps)
        return self.learning_rate

    def make_optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimizer before its first step."""
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                parameters,
                self.learning_rate,
                self.momentum,
                nesterov=self.nesterov,
                weight_decay=self.weight_decay,
                # The same numbers, in fewer passes over memory; PyTorch's default on a GPU alone.
                foreach=True,
            )
        rule = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        return rule(parameters, self.learning_rate, weight_decay=self.weight_decay)

    def make_trainee(self, module: nn.Module) -> TrainState:
        """Return a network with its optimizer."""
        optimizer = self.make_optimizer(p for p in module.parameters() if p.requires_grad)
        precision = torch.bfloat16 if self.precision == "bfloat16" else None
        return TrainState(
            module,
            optimizer,
            OptimizerResponse(optimizer),
            clip_norm=self.clip_norm,
            precision=precision,
        )


class Objective(Protocol):
    """What the training steps of a network lower: a fixed or an adapting loss."""

    def step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Train for one step."""

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` goes on from."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""


@final
class FixedLoss:
    """An objective with one fixed loss."""

    def __init__(self, trainee: TrainState, loss: Loss):
        self._trainee, self._loss = trainee, loss

    def step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Train for one step."""
        plain_step(self._trainee, self._loss, [batch])

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the loss stays as it is."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing."""


@final
@dataclass(frozen=True)
class Outcome:
    """How a network fared.

    Attributes:
        valid: the cost by the metric on validation data; infinity where training diverged.
        test: the cost on test data, likewise.
        step: at which the tested weights were reached.
        curve: (step, cost on validation data) of every evaluation.
        failure: why training broke off; None where it did not.
    """

    valid: float
    test: float
    step: int
    curve: tuple[tuple[int, float], ...]
    failure: str | None = None

    def shown(self, metric: Metric) -> "Outcome":
        """Return the same with the values of a metric in place of its costs."""
        curve = tuple((step, metric.shown(cost)) for step, cost in self.curve)
        valid, test = metric.shown(self.valid), metric.shown(self.test)
        return replace(self, valid=valid, test=test, curve=curve)


@final
class FullTraining:
    """One network in training.

    Attributes:
        objective: what its steps lower: a fixed or an adapting loss.

    Args:
        recipe: how it is trained.
        task: what it learns.
        trainee: the network with its optimizer.
        objective: what its steps lower: a fixed or an adapting loss.
        seed: of batches and of what the network draws itself.
    """

    def __init__(
        self, recipe: Recipe, task: Task, trainee: TrainState, objective: Objective, seed: int
    ):
        self._recipe, self._task, self.objective = recipe, task, objective
        self._trainee, self._seed = trainee, seed
        generator = torch_generator(seed, "batches")
        self._batches = Batches(task.train, recipe.batch_size, generator, task.augment)
        self._best: dict[str, Tensor] = {}
        self._curve: list[tuple[int, float]] = []
        self._step = 0

    @property
    def model(self) -> nn.Module:
        """The network; after `run` with the weights that were tested."""
        return self._trainee.model

    def run(self, checkpoint: Callable[[], None], progress: Progress) -> Outcome:
        """Train to the end, evaluate once on test data and return the outcome.

        Args:
            checkpoint: called after every evaluation on validation data.
            progress: receives the stage, the number of steps done and their total.
        """
        try:
            while self._step < self._recipe.steps and not self._is_exhausted():
                self._train_until_next_evaluation(progress)
                self._evaluate()
                checkpoint()
        except DivergedError as error:
            return Outcome(math.inf, math.inf, self._step, tuple(self._curve), str(error))
        return self._outcome()

    def state(self) -> bytes:
        """Return what `restore` goes on from."""
        content = io.BytesIO()
        state = {
            "model": self._trainee.model.state_dict(),
            "optimizer": self._trainee.optimizer.state_dict(),
            "teacher": self.objective.state_dict(),
            "batches": self._batches.state(),
            "best": self._best,
            "curve": self._curve,
            "step": self._step,
        }
        torch.save(state, content)
        return content.getvalue()

    def restore(self, content: bytes) -> None:
        """Go on from where `state` was taken; nothing in it is executed."""
        state = load_tensors(content, self._task.device)
        self._trainee.model.load_state_dict(state["model"])
        self._trainee.optimizer.load_state_dict(state["optimizer"])
        self.objective.load_state_dict(state["teacher"])
        self._batches.restore(state["batches"])
        self._best, self._curve, self._step = state["best"], state["curve"], state["step"]

    @property
    def curve(self) -> tuple[tuple[int, float], ...]:
        """(step, metric on validation data) of every evaluation so far."""
        return tuple(self._curve)

    def _train_until_next_evaluation(self, progress: Progress) -> None:
        recipe = self._recipe
        end = min(recipe.steps, (self._step // recipe.check_every + 1) * recipe.check_every)
        self._trainee.model.train()
        while self._step < end:
            for group in self._trainee.optimizer.param_groups:
                group["lr"] = recipe.rate(self._step)
            with isolated_seed(derive_seed(self._seed, "network", self._step)):
                self.objective.step(self._batches.draw())
            self._step += 1
            progress("training", self._step, recipe.steps)

    def _evaluate(self) -> None:
        score = evaluate(self._trainee, self._task.valid, self._task)
        if not math.isfinite(score):
            raise DivergedError(f"the metric is not finite at step {self._step}")
        if not self._best or not self._recipe.keep_best or score < min(v for _, v in self._curve):
            self._best = deepcopy(self._trainee.model.state_dict())
        self._curve.append((self._step, score))

    def _is_exhausted(self) -> bool:
        scores = [score for _, score in self._curve]
        if not self._recipe.patience or not scores:
            return False
        return len(scores) - 1 - scores.index(min(scores)) >= self._recipe.patience

    def _outcome(self) -> Outcome:
        model = self._trainee.model
        last = model.state_dict()
        model.load_state_dict(self._best or last)
        step, valid = (
            min(self._curve, key=lambda evaluation: evaluation[1])
            if self._recipe.keep_best
            else self._curve[-1]
        )
        test = evaluate(self._trainee, self._task.test, self._task)
        return Outcome(valid, test, step, tuple(self._curve))


@torch.no_grad()
def evaluate(trainee: TrainState, split: Split, task: Task) -> float:
    """Return the cost of a network on rows by the task's metric, in evaluation mode."""
    trainee.model.eval()

    def chunks() -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(split), EVALUATION_ROWS):
            rows = slice(start, start + EVALUATION_ROWS)
            yield trainee.rerun(split.inputs[rows]).float()[None], split.targets[rows]

    return float(task.measure.costs(chunks()))
