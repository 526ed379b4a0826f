"""AdaLFL: a loss that adapts while a network trains under it.

Source: Raymond et al., "Online Loss Function Learning" (arXiv 2301.13247); thesis, ch. 6.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from lossforge.errors import ConfigurationError, DataError, DivergedError
from lossforge.losses import ADALFL_NETWORK, Architecture, Loss, NeuralLoss, default_loss
from lossforge.losses.neural import Activation
from lossforge.methods.warm_up import WarmUp, endless
from lossforge.randomness import torch_generator
from lossforge.tasks import Kind
from lossforge.training.hypergradient import (
    Observation,
    OnlineEngine,
    OnlineStep,
    OnlineStrategy,
    OptimizerResponse,
    TrainState,
    plain_step,
    preferred,
)
from lossforge.training.hypergradient.jacobian import Gradients
from lossforge.training.hypergradient.state import Batch, slope_of, take_step, unscale
from lossforge.training.module import Moment as Circumstances
from lossforge.training.module import OutputSpec
from lossforge.validation import require, require_in_range

AnyBatch = Sequence[Any] | Mapping[str, Any]
"""A pair of inputs and targets, or a mapping of named inputs with the targets among them."""


@final
@dataclass(frozen=True)
class LossSnapshot:
    """The loss at one step of training, kept for looking at.

    Attributes:
        step: of training.
        factor: how much larger a gradient it gives than the task loss, along the latter's; than the
            default loss, where the task loss is `CalibratedCrossEntropy`.
        loss: a copy.
    """

    step: int
    factor: float
    loss: Loss


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
    clip_value: float | None = None
    """greatest size of any number in the network's gradient; instead of clip_norm"""
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
        for limit in ("clip_norm", "clip_value"):
            if getattr(self, limit) is not None:
                require_in_range(limit, getattr(self, limit), 0, exclude_low=True)
        require(
            self.clip_norm is None or self.clip_value is None,
            "clip gradients by norm or by value, not by both: unset clip_norm or clip_value",
        )
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
        kind: Kind = "classification",
        outputs: int | None = None,
        *,
        loss: Loss | None = None,
        task_loss: Loss | None = None,
        seed: int = 0,
        strategy: OnlineStrategy | Literal["auto"] = "auto",
        precision: torch.dtype | None = None,
        scaler: torch.amp.GradScaler | None = None,
        output: str | int | None = None,
        class_dim: int = 1,
        group: Any = None,
    ) -> "AdaptiveTraining":
        """Return training of `model` under a loss that adapts.

        Args:
            model: called with a batch's inputs: a tensor, a sequence of positional or a mapping of
                named arguments. It may be compiled, or a `DistributedDataParallel` model, whose
                processes then hold the same loss.
            optimizer: of the model's parameters, one of torch.optim's elementwise ones (SGD, Adam,
                AdamW, RMSprop, Adagrad, NAdam, RAdam, Adamax, Adadelta, ASGD) with any options.
                Schedulers may change its learning rate at any time.
            kind: "classification" or "regression".
            outputs: how many the model has; checked where given.
            loss: M, whose parameters are learned, such as a `ParametricLoss`; by default a new loss
                network. The one that is given is copied.
            task_loss: T, measured on validation batches; cross-entropy or squared error by default.
            seed: of the loss network's weights.
            strategy: how the hypergradient is carried through the model; by default the fastest
                that holds. All give the same numbers.
            precision: of autocast, `torch.bfloat16` or, with a `scaler`, `torch.float16`.
            scaler: of the loss, as in plain mixed-precision training.
            output: name or index of the outputs in what the model returns; by default a tensor is
                taken as it is, else ``logits``, else the first of a tuple.
            class_dim: dimension of the outputs that holds the classes; -1 for tokens [B, T, C].
            group: processes that train together, where `model` is not a
                `DistributedDataParallel` one but wrapped by something else.

        Raises:
            ConfigurationError: the optimizer cannot be followed, or trains nothing of the model; or
                the loss has nothing to learn, or is of the other kind.
        """
        response = OptimizerResponse(optimizer)
        _require_fit(model, response)
        require(
            precision in (None, torch.bfloat16, torch.float16),
            f"precision must be torch.bfloat16, torch.float16 or None, not {precision}",
        )
        require(
            precision != torch.float16 or scaler is not None,
            "float16 gradients underflow: pass scaler=torch.amp.GradScaler(...), or use bfloat16",
        )
        state = TrainState(
            model,
            optimizer,
            response,
            OutputSpec(output, class_dim, outputs),
            self.clip_norm,
            self.clip_value,
            precision,
            scaler,
            group,
        )
        device = response.parameters()[0].device
        if loss is None:
            loss = NeuralLoss(self.architecture(kind), torch_generator(seed, "loss"), kind=kind)
        else:
            _require_learnable(loss, kind)
        loss = deepcopy(loss).to(device).requires_grad_()
        target = default_loss(kind) if task_loss is None else task_loss
        strategies = preferred(model) if strategy == "auto" else (strategy,)
        return AdaptiveTraining(self, OnlineEngine(state, strategies), loss, target)


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

    def __init__(self, settings: AdaLFL, engine: OnlineEngine, loss: Loss, task_loss: Loss):
        self.loss, self.steps = loss, 0
        self.horizon: int | None = None
        self.moments: list[LossSnapshot] = []
        self.meta_optimizer = torch.optim.Adam(loss.parameters(), settings.meta_learning_rate)
        self._settings, self._engine, self._state = settings, engine, engine.state
        self._task_loss = task_loss

    def warm_up(
        self,
        train: Iterable[AnyBatch],
        valid: Iterable[AnyBatch],
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
            ConfigurationError: the loss is no loss network.
        """
        settings = self._settings
        if not isinstance(self.loss, NeuralLoss):
            raise ConfigurationError(f"{self.loss} needs no warm-up; leave out the call of warm_up")
        course = WarmUp(
            settings.warm_up_steps,
            settings.warm_up_learning_rate,
            settings.warm_up_scales if self.loss.architecture.residual else (),
            settings.warm_up_horizons,
            settings.trial_every,
            settings.trial_steps,
        )
        pairs = zip(map(as_pair, endless(train)), map(as_pair, endless(valid)), strict=False)
        self.horizon = course(self._state, self.loss, self._adapt_to_one, pairs, progress)

    def step(self, batch: AnyBatch, valid_batch: AnyBatch | None = None) -> OnlineStep:
        """Train the model for one step under the loss, and then the loss for one.

        Args:
            batch: training inputs and targets: a pair, or a mapping with the targets as "labels".
            valid_batch: validation inputs and targets; may be None where `every` skips the update.

        Raises:
            DataError: a loss is not finite, a batch does not fit, or a validation batch is missing.
        """
        return self.step_accumulated([batch], valid_batch)

    def step_accumulated(
        self, batches: Sequence[AnyBatch], valid_batch: AnyBatch | None = None
    ) -> OnlineStep:
        """Do what `step` does, with the mean of the gradients of several batches."""
        require(len(batches) > 0, "a step needs at least one batch")
        pairs = [as_pair(batch) for batch in batches]
        is_due = self._begin_step(pairs[0], valid_batch is not None)
        if is_due and valid_batch is not None:
            found = self._adapt(self.meta_optimizer, pairs, as_pair(valid_batch))
        else:
            found = OnlineStep(plain_step(self._state, self.loss, pairs), None, None)
        self.steps += 1
        return found

    @property
    def is_due(self) -> bool:
        """Whether the loss learns in the step that comes next, as `every` has it."""
        return (self.steps + 1) % self._settings.every == 0

    @property
    def parameters(self) -> list[Tensor]:
        """What the optimizer trains, in its order."""
        return self._state.parameters

    def keep_all_randomness(self) -> None:
        """Repeat passes with the same numbers of `random` and NumPy too, which some models draw."""
        self._engine.everywhere = True

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their mean over the processes that train together."""
        self._state.average(tensors)

    def observe(self) -> "ObservedStep":
        """Return one step of a loop of your own: its backward passes and its optimizer's step.

        Examples:
            >>> x, y = torch.randn(64, 4), torch.randint(3, (64,))
            >>> model = nn.Linear(4, 3)
            >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            >>> adapt = AdaLFL().attach(model, optimizer)
            >>> observed = adapt.observe()
            >>> observed.loss((x[:32], y[:32])).backward()
            >>> observed.before_step()
            >>> optimizer.step()
            >>> observed.learn((x[32:], y[32:])).task_loss > 0
            True
        """
        return ObservedStep(self)

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
            self.moments.append(LossSnapshot(kept["step"], kept["factor"], loss))

    def _begin_step(self, batch: Batch, has_valid: bool) -> bool:
        """Tell whether the loss is to learn in this step; keep a copy of it where asked to."""
        is_due = self.is_due
        if is_due and not has_valid:
            raise DataError("a validation batch is needed to adapt the loss; pass one to step")
        record = self._settings.record_every
        if record and self.steps % record == 0:
            self.moments.append(self._snapshot(batch))
        return is_due

    def _adapt(
        self, optimizer: torch.optim.Optimizer, batches: Sequence[Batch], valid_batch: Batch
    ) -> OnlineStep:
        """Train the model for a step and the loss for one, by that optimizer of its weights."""
        found = self._engine.step(self.loss, batches, valid_batch, self._task_loss)
        if found.hypergradient is not None:
            self._learn(optimizer, found.hypergradient)
        return found

    def _adapt_to_one(
        self, optimizer: torch.optim.Optimizer, batch: Batch, valid_batch: Batch
    ) -> OnlineStep:
        return self._adapt(optimizer, [batch], valid_batch)

    def _learn(self, optimizer: torch.optim.Optimizer, hypergradient: list[Tensor]) -> None:
        if not all(bool(g.isfinite().all()) for g in hypergradient):
            raise DivergedError(
                f"the hypergradient of step {self.steps + 1} is not finite; lower the learning "
                "rate or clip gradients (clip_norm); the loss was not updated"
            )
        for weights, g in zip(self.loss.parameters(), hypergradient, strict=True):
            weights.grad = g
        optimizer.step()
        optimizer.zero_grad()

    @torch.no_grad()
    def _snapshot(self, batch: Batch) -> LossSnapshot:
        state = self._state
        with Circumstances(state.module).kept():
            outputs = state.rerun(batch[0]).float()
        # An objective that is blind to the scale of the outputs has no step size to compare with.
        usual = self._task_loss if self._task_loss.is_separable else default_loss(self.loss.kind)
        mine, default = (_slope(loss, outputs, batch[1]).double() for loss in (self.loss, usual))
        energy = default.square().sum().clamp_min(torch.finfo(torch.double).tiny)
        factor = float((mine * default).sum() / energy)
        return LossSnapshot(self.steps, factor, deepcopy(self.loss).requires_grad_(False))


@final
class ObservedStep:
    """One step of somebody's own loop under an adaptive loss; made by `AdaptiveTraining.observe`.

    In order: `loss` and its backward pass, for one batch or several; `before_step`; the optimizer's
    step; `learn`.
    """

    def __init__(self, adapt: AdaptiveTraining):
        self._adapt, self._engine = adapt, adapt._engine
        self._watched = Observation(self._engine)
        self._total, self._batches = 0.0, 0

    def loss(self, batch: AnyBatch) -> Tensor:
        """Run the model on a training batch and return its loss, for a backward pass.

        Where several batches are accumulated, divide it by their number, and scale it with a
        `GradScaler` where there is one, as ever.
        """
        inputs, targets = as_pair(batch)
        engine, moment = self._engine, self._watched.moment()
        outputs = engine.run(inputs, moment)
        return self.loss_of(outputs, targets, moment, lambda: engine.rerun(inputs))

    def loss_of(
        self,
        outputs: Tensor,
        targets: Tensor,
        moment: Circumstances,
        rerun: Callable[[], Tensor],
    ) -> Tensor:
        """Return the loss of outputs [B, C, ...] that the model gave in code of your own.

        Args:
            outputs: of the model, with their graph.
            targets: of the batch.
            moment: taken before the model ran (``Moment(model)``).
            rerun: runs the same code again and returns the outputs.
        """
        value = self._watched.record(self._adapt.loss, outputs, targets, moment, rerun)
        self._total += value.item()
        self._batches += 1
        return value

    def before_clipping(self) -> None:
        """Take note of the gradients, for a loop that then clips them itself, as the settings say.

        Gradients must be unscaled already.
        """
        self._watched.gradients_ready()

    @property
    def clipped(self) -> Gradients:
        """The gradients as the settings clip them; between `before_clipping` and `before_step`."""
        return self._watched.clipping.clipped

    def leave_out(self, others: Gradients) -> None:
        """Tell, after `before_step`, which gradients of the step came from terms beside the loss.

        The first step is checked against the gradients that PyTorch found, and a weight penalty in
        a loop of one's own is among them.

        Args:
            others: of those terms, averaged over processes; one a parameter, None for none.
        """
        self._watched.leave_out(others)

    def before_step(self, *, clip: bool = True) -> None:
        """Unscale and clip the gradients, and take note of what the optimizer is about to do.

        Args:
            clip: False where `before_clipping` was called and the loop clips gradients itself.
        """
        state = self._engine.state
        if clip:
            unscale(state)
            self._watched.gradients_ready()
            state.set_gradients(self._watched.clipping.clipped)
        self._watched.before_step()

    def take_step(self) -> None:
        """Step the optimizer, through its scaler where there is one."""
        take_step(self._engine.state)

    def learn(
        self,
        valid_batch: AnyBatch | None = None,
        *,
        rerun: Callable[[], tuple[Tensor, Tensor]] | None = None,
    ) -> OnlineStep:
        """Update the loss after the optimizer's step; gradients are cleared.

        Args:
            valid_batch: validation inputs and targets; may be None where `every` skips the update.
            rerun: instead, runs code of your own on it and returns outputs and targets.
        """
        adapt, state = self._adapt, self._engine.state
        is_due = adapt.is_due
        adapt.steps += 1
        loss = self._total / max(1, self._batches)
        state.clear_gradients()
        if not is_due or self._watched.is_skipped:
            return OnlineStep(loss, None, None)
        if rerun is None:
            if valid_batch is None:
                raise DataError("a validation batch is needed to adapt the loss; pass one to learn")
            inputs, targets = as_pair(valid_batch)
            rerun = lambda: (self._engine.rerun(inputs), targets)  # noqa: E731
        reached, found = self._watched.differentiate(adapt.loss, *_split(rerun, adapt._task_loss))
        adapt._learn(adapt.meta_optimizer, found)
        return OnlineStep(loss, reached, found)


def _split(
    rerun: Callable[[], tuple[Tensor, Tensor]], task_loss: Loss
) -> tuple[Callable[[], Tensor], Callable[[Tensor], Tensor]]:
    """Return a function that gives outputs, and one that gives T of them."""
    targets: list[Tensor] = []

    def outputs() -> Tensor:
        found, wanted = rerun()
        targets[:] = [wanted]
        return found

    def outcome(found: Tensor) -> Tensor:
        value: Tensor = task_loss(found, targets[0])
        return value

    return outputs, outcome


LABELS = ("labels", "label", "targets", "target", "y")
"""Names of the targets in a batch that is a mapping."""


def as_pair(batch: AnyBatch) -> Batch:
    """Return a batch as inputs and targets.

    Raises:
        DataError: it is neither a pair nor a mapping with targets.

    Examples:
        >>> as_pair({"input_ids": torch.zeros(2, 3), "labels": torch.tensor([0, 1])})
        ({'input_ids': tensor([[0., 0., 0.],
            [0., 0., 0.]])}, tensor([0, 1]))
    """
    if isinstance(batch, Mapping):
        name = next((name for name in LABELS if name in batch), None)
        if name is not None:
            return {key: value for key, value in batch.items() if key != name}, batch[name]
        raise DataError(
            f"a batch has no targets among {', '.join(map(str, batch))}; name them 'labels'"
        )
    if isinstance(batch, Sequence) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return batch[0], batch[1]
    raise DataError(
        f"a batch must be a pair of inputs and targets or a mapping, not {_shape_of(batch)}"
    )


def _shape_of(batch: object) -> str:
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return f"a {type(batch).__name__} of {', '.join(type(one).__name__ for one in batch)}"
    return f"a {type(batch).__name__}"


def _require_fit(model: nn.Module, response: OptimizerResponse) -> None:
    moved = {id(theta) for theta in response.parameters()}
    known = {id(theta) for theta in model.parameters()}
    if not moved:
        raise ConfigurationError("the optimizer trains nothing: all its parameters are frozen")
    if not moved <= known:
        raise ConfigurationError("the optimizer holds parameters that are not the model's")


def _require_learnable(loss: Loss, kind: Kind) -> None:
    require(any(True for _ in loss.parameters()), f"{loss} has no parameters that could be learned")
    require(loss.kind == kind, f"{loss} is a loss for {loss.kind}, not {kind}")


def _slope(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    return slope_of(loss, outputs, targets, build=False)[1]
