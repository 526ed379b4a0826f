"""AdaLFL: a loss that adapts while a network trains under it.

Source: Raymond et al., "Online Loss Function Learning" (arXiv 2301.13247); thesis, ch. 6.
"""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from lossforge.errors import ConfigurationError, DataError, DivergedError
from lossforge.losses import ADALFL_NETWORK, Architecture, Loss, NeuralLoss, default_loss
from lossforge.losses.neural import Activation
from lossforge.methods.warm_up import Batch, WarmUp, endless
from lossforge.randomness import torch_generator
from lossforge.tasks import Kind
from lossforge.training.online import (
    Inputs,
    Mirror,
    OnlineStep,
    OnlineStrategy,
    Trainee,
    choose_online_strategy,
    online_step,
    plain_step,
)
from lossforge.validation import require, require_in_range


@final
@dataclass(frozen=True)
class Moment:
    """The loss at one step of training, kept for looking at.

    Attributes:
        step: of training.
        factor: how much larger a gradient it gives than the task loss, along the latter's.
        loss: a copy.
    """

    step: int
    factor: float
    loss: NeuralLoss


@final
@dataclass(frozen=True)
class AdaLFL:
    """Adaptive loss function learning; attach it to a model and an optimizer of your own.

    Examples:
        >>> torch.manual_seed(0).initial_seed()
        0
        >>> x, y = torch.randn(64, 4), torch.randint(3, (64,))
        >>> model = nn.Linear(4, 3)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> adapt = AdaLFL(warm_up_steps=5).attach(model, optimizer, outputs=3)
        >>> adapt.warm_up([(x[:32], y[:32])], [(x[32:], y[32:])])
        >>> step = adapt.step((x[:32], y[:32]), (x[32:], y[32:]))
        >>> step.task_loss > 0
        True
    """

    name: ClassVar[str] = "adalfl"

    warm_up_steps: int = 1500
    """meta steps before training; 2500 in the paper"""
    warm_up_learning_rate: float = 1e-3
    """step size of Adam on the loss network's weights before training"""
    warm_up_scales: tuple[float, ...] = (0.1, 0.3, 1, 3, 10)
    """scales of cross-entropy, which the loss network's is added to. Each is tried in a short
    training; the warm-up begins with the smallest that does as well as the best, within a standard
    error, and what it learns is taken if it does better by one. Empty: the network's alone, as in
    the paper, and always in regression, where the steps of a squared error know no bounds"""
    warm_up_horizons: tuple[int, ...] = (1, 10, 100)
    """steps of the network before it is set back to its first weights; 1 in the paper, where the
    loss never sees a trained network and does not learn how large its steps may be then. Of
    several, the one that does best in a first trial is gone on with, and the best loss on the way
    taken"""
    trial_every: int = 500
    """meta steps between trials, where there are several scales or horizons"""
    trial_steps: int = 250
    """steps of training under the loss before a trial's metric, on validation batches"""
    meta_learning_rate: float = 1e-5
    """step size of Adam on the loss network's weights in training"""
    every: int = 1
    """training steps between updates of the loss"""
    hidden: tuple[int, ...] = ADALFL_NETWORK.hidden
    """widths of the loss network's hidden layers"""
    activation: Activation = ADALFL_NETWORK.activation
    """of the loss network"""
    average: bool = False
    """whether a row's loss is the mean over outputs, as in the paper, and not their sum, whose
    gradient does not shrink with the number of classes"""
    clip_norm: float | None = None
    """greatest norm of the network's gradient"""
    record_every: int = 0
    """training steps between copies of the loss that are kept for looking at; 0 keeps none"""

    def __post_init__(self) -> None:
        require_in_range("warm_up_steps", self.warm_up_steps, 0)
        require(len(self.warm_up_horizons) > 0, "warm_up_horizons must name one or more")
        for scale in self.warm_up_scales:
            require_in_range("warm_up_scales", scale, 0, exclude_low=True)
        for horizon in self.warm_up_horizons:
            require_in_range("warm_up_horizons", horizon, 1)
        for count in ("trial_every", "trial_steps"):
            require_in_range(count, getattr(self, count), 1)
        for rate in ("warm_up_learning_rate", "meta_learning_rate"):
            require_in_range(rate, getattr(self, rate), 0, exclude_low=True)
        require_in_range("every", self.every, 1)
        require_in_range("record_every", self.record_every, 0)
        if self.clip_norm is not None:
            require_in_range("clip_norm", self.clip_norm, 0, exclude_low=True)
        self.architecture("classification")

    def architecture(self, task: Kind) -> Architecture:
        """Return the loss network's form."""
        return Architecture(
            self.hidden,
            self.activation,
            self.activation,
            self.average,
            residual=task == "classification" and len(self.warm_up_scales) > 0,
        )

    def attach(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        task: Kind = "classification",
        outputs: int | None = None,
        *,
        task_loss: Loss | None = None,
        seed: int = 0,
        strategy: OnlineStrategy | Literal["auto"] = "auto",
        precision: torch.dtype | None = None,
    ) -> "AdaptiveTraining":
        """Return training of `model` under a loss that adapts.

        Args:
            model: called with a batch's inputs: a tensor, or a mapping of named arguments. What it
                gives is [B, C, ...], or a mapping that holds it as ``"logits"``.
            optimizer: `torch.optim.SGD`, `Adam` or `AdamW` of the model's parameters. Schedulers
                may change its learning rate at any time.
            task: "classification" or "regression".
            outputs: how many the model has; checked at the first batch where given.
            task_loss: T, measured on validation batches; cross-entropy or squared error by default.
            seed: of the loss network's weights.
            strategy: how the hypergradient is carried through the model; by default the one that
                suits it. All give the same numbers.
            precision: of autocast, `torch.bfloat16` or None.

        Raises:
            ConfigurationError: the optimizer cannot be followed, or trains nothing of the model.
        """
        mirror = Mirror(optimizer)
        _require_fit(model, mirror)
        require(
            precision in (None, torch.bfloat16),
            f"precision must be torch.bfloat16 or None, not {precision}",
        )
        trainee = Trainee(model, optimizer, mirror, self.clip_norm, precision)
        strategies = _order(model) if strategy == "auto" else (strategy,)
        device = mirror.parameters()[0].device
        loss = NeuralLoss(self.architecture(task), torch_generator(seed, "loss"), kind=task)
        loss = loss.to(device).requires_grad_()
        target = default_loss(task) if task_loss is None else task_loss
        return AdaptiveTraining(self, trainee, strategies, loss, target, outputs)


@final
class AdaptiveTraining:
    """A user's model, optimizer and a loss that adapts to their training; made by `AdaLFL.attach`.

    Attributes:
        loss: the adaptive loss as it is now.
        meta_optimizer: of the loss's weights, for schedulers of its step size.
        steps: of training so far.
        horizon: at which the loss was warmed up; 0 where it is the usual one at its best scale,
            because nothing learned did better; None before.
        moments: copies of the loss over time.
    """

    def __init__(
        self,
        settings: AdaLFL,
        trainee: Trainee,
        strategies: Sequence[OnlineStrategy],
        loss: NeuralLoss,
        task_loss: Loss,
        outputs: int | None,
    ):
        self.loss, self.steps = loss, 0
        self.horizon: int | None = None
        self.moments: list[Moment] = []
        self.meta_optimizer = torch.optim.Adam(loss.parameters(), settings.meta_learning_rate)
        self._settings, self._trainee, self._task_loss = settings, trainee, task_loss
        self._strategies, self._outputs = strategies, outputs
        self._strategy: OnlineStrategy | None = None

    def warm_up(
        self,
        train: Iterable[Batch],
        valid: Iterable[Batch],
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Learn the loss offline, before training: each meta step begins at the present weights.

        The model, its buffers and the optimizer are afterwards as they were.

        Args:
            train: training batches; begun anew when they end.
            valid: validation batches; likewise.
            progress: hears how many steps are done, and how many there are.

        Raises:
            DataError: there are no batches, or a loss is not finite.
        """
        settings = self._settings
        course = WarmUp(
            settings.warm_up_steps,
            settings.warm_up_learning_rate,
            settings.warm_up_scales if self.loss.architecture.residual else (),
            settings.warm_up_horizons,
            settings.trial_every,
            settings.trial_steps,
        )
        pairs = zip(endless(train), endless(valid), strict=False)
        self.horizon = course(self._trainee, self.loss, self._adapt, pairs, progress)

    def step(self, batch: Batch, valid_batch: Batch | None = None) -> OnlineStep:
        """Train the model for one step under the loss, and then the loss for one.

        Args:
            batch: training inputs and targets.
            valid_batch: validation inputs and targets; may be None where `every` skips the update.

        Raises:
            DataError: a loss is not finite, a batch does not fit, or a validation batch is missing.
        """
        is_due = (self.steps + 1) % self._settings.every == 0
        if is_due and valid_batch is None:
            raise DataError("a validation batch is needed to adapt the loss; pass one to step")
        record = self._settings.record_every
        if record and self.steps % record == 0:
            self.moments.append(self._moment(batch))
        if is_due and valid_batch is not None:
            found = self._adapt(self.meta_optimizer, batch, valid_batch)
        else:
            found = plain_step(self._trainee, self.loss, *batch)
        self.steps += 1
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` goes on from; the model and optimizer have their own."""
        return {
            "loss": deepcopy(self.loss.state_dict()),
            "meta_optimizer": deepcopy(self.meta_optimizer.state_dict()),
            "steps": self.steps,
            "horizon": self.horizon,
            "moments": [
                {"step": m.step, "factor": m.factor, "loss": deepcopy(m.loss.state_dict())}
                for m in self.moments
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.loss.load_state_dict(state["loss"])
        self.meta_optimizer.load_state_dict(state["meta_optimizer"])
        self.steps, self.horizon = state["steps"], state["horizon"]
        self.moments = []
        for kept in state["moments"]:
            loss = deepcopy(self.loss).requires_grad_(False)
            loss.load_state_dict(kept["loss"])
            self.moments.append(Moment(kept["step"], kept["factor"], loss))

    def _adapt(
        self, optimizer: torch.optim.Optimizer, batch: Batch, valid_batch: Batch
    ) -> OnlineStep:
        """Train the model for a step and the loss for one, by that optimizer of its weights."""
        found = self._online_step(batch, valid_batch)
        self._learn(optimizer, found)
        return found

    def _learn(self, optimizer: torch.optim.Optimizer, found: OnlineStep) -> None:
        assert found.hypergradient is not None
        if not all(bool(g.isfinite().all()) for g in found.hypergradient):
            raise DivergedError(
                f"the hypergradient of step {self.steps + 1} is not finite; lower the learning "
                "rate or clip gradients (clip_norm); the loss was not updated"
            )
        for weights, g in zip(self.loss.parameters(), found.hypergradient, strict=True):
            weights.grad = g
        optimizer.step()
        optimizer.zero_grad()

    def _online_step(self, batch: Batch, valid_batch: Batch) -> OnlineStep:
        if self._strategy is None:
            self._require_outputs(batch[0])
            self._strategy = choose_online_strategy(self._strategies, self._trainee, batch[0])
        return online_step(
            self._trainee, self.loss, batch, valid_batch, self._task_loss, self._strategy
        )

    def _require_outputs(self, inputs: Inputs) -> None:
        found = self._look(inputs).shape[1]
        if self._outputs not in (None, found):
            raise DataError(
                f"the model gives {found} outputs, not {self._outputs}; change the model or the "
                "outputs of attach"
            )

    @torch.no_grad()
    def _look(self, inputs: Inputs) -> Tensor:
        """Return the model's outputs, without a trace in its buffers."""
        return self._trainee.outputs(self._trainee.buffers(), inputs).float()

    def _moment(self, batch: Batch) -> Moment:
        outputs = self._look(batch[0])
        mine, usual = (_slope(loss, outputs, batch[1]) for loss in (self.loss, self._task_loss))
        factor = float((mine * usual).sum() / usual.square().sum())
        return Moment(self.steps, factor, deepcopy(self.loss).requires_grad_(False))


def _require_fit(model: nn.Module, mirror: Mirror) -> None:
    moved = {id(theta) for theta in mirror.parameters()}
    known = {id(theta) for theta in model.parameters()}
    if not moved:
        raise ConfigurationError("the optimizer trains nothing: all its parameters are frozen")
    if not moved <= known:
        raise ConfigurationError("the optimizer holds parameters that are not the model's")


def _order(model: nn.Module) -> tuple[OnlineStrategy, ...]:
    """Return the strategies, the faster first, as measured on convolutions and dense layers."""
    convolves = any(isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d) for part in model.modules())
    return ("forward", "reverse") if convolves else ("thin", "reverse", "forward")


def _slope(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    leaf = outputs.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(leaf, targets), leaf)
    return slope
