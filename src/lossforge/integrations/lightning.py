"""A loss that adapts, for a Lightning module of your own; ``pip install 'lossforge[lightning]'``.

The module keeps its `training_step`, its optimizer and its schedulers, and the trainer all of its
features. Two lines change::

    class Classifier(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = ...
            self.criterion = AdaptiveLoss(AdaLFL(), outputs=10)  # not CrossEntropyLoss()

        def training_step(self, batch, batch_idx):
            x, y = batch
            return self.criterion(self.net(x), y)

    module = Classifier()
    trainer = lightning.Trainer(callbacks=[module.criterion.callback()])  # and this
    trainer.fit(module, train_loader, valid_loader)
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, NoReturn, final
from unittest.mock import patch

import torch
from torch import Tensor

from lossforge.errors import ConfigurationError
from lossforge.extras import require_extra
from lossforge.integrations.quietly import (
    Batches,
    EndlessIterator,
    attributes_kept,
    before_scheduling,
    gradients_kept,
    norm,
    randomness_kept,
    require_clipped,
    scaler_kept,
    seeded,
)
from lossforge.losses import Loss, NeuralLoss, default_loss
from lossforge.methods import AdaLFL
from lossforge.methods.adalfl import AdaptiveTraining, ObservedStep
from lossforge.randomness import derive_seed, torch_generator
from lossforge.tasks.kinds import Kind, as_kind
from lossforge.training.hypergradient import OnlineStrategy
from lossforge.training.hypergradient.jacobian import Gradients
from lossforge.training.module import Moment, OutputSpec

try:
    import lightning
    from lightning.pytorch.loggers.logger import DummyLogger
    from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
    from lightning.pytorch.utilities import CombinedLoader
except ImportError:
    require_extra("lightning", "AdaLFLCallback")
    raise

Receiver = Callable[[Tensor, Tensor], Tensor]
"""Is given outputs [B, C, ...] and targets, and returns their loss."""


@final
class AdaptiveLoss:
    """A loss to call in `training_step`, which adapts while `lightning.Trainer` fits the module.

    It is no `nn.Module`: the module's `state_dict`, `parameters` and `load_from_checkpoint` stay as
    they are. Construct it in the module's `__init__`, and give its `callback` to the trainer.

    Called in `training_step` it gives the loss that the network trains on; anywhere else the
    present loss as it is. A network's first fit and every evaluation before it see the task loss.
    Since a loss that changes is no measure, validation steps do better to log `task_loss`.

    Args:
        adalfl: settings of the loss; clipping of gradients is the trainer's.
        kind: of the task, one of `lossforge.tasks.kinds` or its name.
        outputs: how many the network has; checked where given.
        task_loss: what the loss learns to make small on validation batches; cross-entropy or the
            squared error by default.
        class_dim: dimension of the outputs that holds the classes; -1 for tokens [B, T, C].
        seed: of the loss network's weights, and of the order of the batches that it learns from.
        strategy: how the hypergradient is computed; by default the fastest that holds.

    Attributes:
        adalfl: the settings.
        kind: of the task.
        task_loss: T.
        seed: as given.
        strategy: as given.
        loss: the present loss; None before the first fit.

    Examples:
        >>> criterion = AdaptiveLoss(AdaLFL(), outputs=3)
        >>> float(criterion(torch.zeros(2, 3), torch.tensor([0, 1])))  # log 3: not yet fitted
        1.0986...
    """

    def __init__(
        self,
        adalfl: AdaLFL | None = None,
        kind: Kind | str = "classification",
        outputs: int | None = None,
        *,
        task_loss: Loss | None = None,
        class_dim: int = 1,
        seed: int = 0,
        strategy: OnlineStrategy | None = None,
    ):
        self.adalfl = AdaLFL() if adalfl is None else adalfl
        self.kind = kind = as_kind(kind)
        self.objective = self.adalfl.task_loss(kind) if task_loss is None else task_loss
        self.task_loss = default_loss(kind) if task_loss is None else task_loss
        self.seed, self.strategy = seed, strategy
        self.loss: Loss | None = None
        self._outputs = OutputSpec(None, class_dim, outputs)
        self._receiver: Receiver | None = None

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch.

        Args:
            outputs: of the network, with classes in dimension `class_dim`.
            targets: of the batch.

        Raises:
            ConfigurationError: the network is trained, but the trainer has no `callback`.
        """
        outputs = self._outputs(outputs)
        if self._receiver is not None:
            return self._receiver(outputs, targets)
        if self.loss is not None:
            present: Tensor = self.loss.to(outputs.device)(outputs, targets)
            return present
        if outputs.requires_grad:
            raise ConfigurationError(
                "the loss cannot adapt: pass callbacks=[criterion.callback()] to the Trainer"
            )
        found: Tensor = self.task_loss(outputs, targets)
        return found

    def callback(self, valid_loader: Any = None) -> "AdaLFLCallback":
        """Return what lets the loss adapt, for ``lightning.Trainer(callbacks=[...])``.

        Args:
            valid_loader: batches that the loss learns from; by default those that the trainer
                validates with.
        """
        return AdaLFLCallback(self, valid_loader)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a loss of the same settings."""
        if self.loss is None:
            draw = torch_generator(self.seed, "loss")
            self.loss = NeuralLoss(self.adalfl.architecture(self.kind), draw, kind=self.kind)
        self.loss.load_state_dict(state)

    @contextmanager
    def receiving(self, receiver: Receiver) -> Iterator[None]:
        """Let calls inside the block go to a receiver."""
        before, self._receiver = self._receiver, receiver
        try:
            yield
        finally:
            self._receiver = before


class _ReachedError(BaseException):
    """Ends a repeated `training_step` at the loss; no user's `except Exception` stops it."""

    def __init__(self, outputs: Tensor, targets: Tensor):
        super().__init__()
        self.outputs, self.targets = outputs, targets


def _stop(outputs: Tensor, targets: Tensor) -> NoReturn:
    raise _ReachedError(outputs, targets)


@final
@dataclass(frozen=True, eq=False)
class _Pass:
    """One run of `training_step` that is part of the optimizer's next step.

    Attributes:
        args: with which.
        moment: what else it depended on.
        value: of the loss.
    """

    args: tuple[Any, ...]
    moment: Moment
    value: Tensor


@final
@dataclass(frozen=True)
class _Drawn:
    """A batch for the warm-up, and the seed of everything random that `training_step` does."""

    batch: Any
    seed: int


@final
class AdaLFLCallback(lightning.Callback):
    """Lets an `AdaptiveLoss` adapt while the trainer fits; made by `AdaptiveLoss.callback`.

    When training begins it warms the loss up on the trainer's batches, unless the loss was fitted
    before or comes from a checkpoint. After each step of the optimizer it runs `training_step`
    again, up to the call of the loss, on the step's batches and on one for validation: what the
    user's code logs or counts there is undone. It logs ``adalfl/task_loss``, that of the validation
    batch. Checkpoints hold the loss, its optimizer and the position in the validation batches.

    Terms that `training_step` adds to the loss, such as a weight penalty, are trained with; the
    warm-up and the task loss are without them.

    Supported are one optimizer, automatic optimization, one device or `DDPStrategy`, every
    precision, accumulation and clipping of the trainer. Else a `ConfigurationError` says so.

    Args:
        criterion: the loss that the module calls, once in a `training_step`.
        valid_loader: batches like those of training; by default the trainer's for validation.

    Attributes:
        criterion: as given.
        training: the training under way; None before.
    """

    def __init__(self, criterion: AdaptiveLoss, valid_loader: Any = None):
        self.criterion, self._valid_loader = criterion, valid_loader
        self.training: AdaptiveTraining | None = None
        self._saved: dict[str, Any] = {}
        self._run: _Run | None = None

    @property
    def state_key(self) -> str:
        """The name of this callback's state in checkpoints."""
        return "AdaLFL"

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Refuse what a loss cannot adapt to."""
        if stage == "fit":
            _require_supported(trainer, pl_module)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Attach the loss to the optimizer; warm it up where it is new."""
        run = _Run(trainer, pl_module, self.criterion, self._valid_loader)
        self.training = run.adapt
        if self._saved:
            run.load_state_dict(self._saved)
        self.criterion.loss = run.adapt.loss
        if not self._saved:
            run.warm_up()
        self._run = run
        run.install()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Take note of the gradients, before the trainer clips them."""
        if self._run is not None:
            self._run.before_step()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the loss, where the optimizer took a step."""
        if self._run is None:
            return
        task_loss = self._run.learn()
        if task_loss is not None:
            self.log("adalfl/task_loss", task_loss, prog_bar=True, on_step=True, on_epoch=False)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Give the module its own `training_step` back, and keep the loss for another fit."""
        self._end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Give the module its own `training_step` back."""
        self._end()

    def _end(self) -> None:
        if self._run is not None:
            self._saved = self._run.state_dict()
            self._run.remove()
            self._run = None

    def state_dict(self) -> dict[str, Any]:
        """Return the loss and all that it is resumed with."""
        return self._saved if self._run is None else self._run.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the loss of a checkpoint."""
        self._saved = state_dict
        if state_dict:
            self.criterion.load_state_dict(state_dict["training"]["loss"])


def _require_supported(trainer: Any, module: Any) -> None:
    if not module.automatic_optimization:
        raise ConfigurationError(
            "a loss adapts to one optimizer under automatic optimization; leave "
            "automatic_optimization True, or use AdaLFL.attach in a loop of your own"
        )
    if getattr(module, "_compiler_ctx", None) is not None:
        raise ConfigurationError(
            "a compiled training_step cannot be repeated; compile the network in it instead, as "
            "self.net = torch.compile(net)"
        )
    if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
        raise ConfigurationError(
            f"a loss cannot adapt under {type(trainer.strategy).__name__}; use one device or ddp"
        )
    code = getattr(type(module).training_step, "__code__", None)
    if code is not None and "dataloader_iter" in code.co_varnames[: code.co_argcount]:
        raise ConfigurationError(
            "a training_step that draws from dataloader_iter cannot be repeated; take batch"
        )


@final
class _Run:
    """One fit of one module."""

    def __init__(self, trainer: Any, module: Any, criterion: AdaptiveLoss, valid_loader: Any):
        self._trainer, self._module, self._criterion = trainer, module, criterion
        self._step: Callable[..., Any] = module.training_step
        self._instance_step = module.__dict__.get("training_step")
        self.adapt = self._attach()
        self.adapt.keep_all_randomness()
        self._parameters: list[Tensor] = self.adapt.parameters
        loader = trainer.val_dataloaders if valid_loader is None else valid_loader
        if not loader:
            raise ConfigurationError(
                "the loss learns from validation batches; pass val_dataloaders to fit or "
                "valid_loader to the callback"
            )
        if isinstance(loader, list | tuple | dict) and valid_loader is None:
            raise ConfigurationError(
                f"{len(loader)} validation loaders: name the one that the loss learns from with "
                "criterion.callback(valid_loader=...)"
            )
        self._loader, self._valid = loader, self._batches(loader, "valid")
        self._passes: list[_Pass] = []
        self._observed: ObservedStep | None = None
        self._expected: Tensor | None = None
        self._is_checked = False

    def _attach(self) -> AdaptiveTraining:
        trainer, criterion = self._trainer, self._criterion
        if len(trainer.optimizers) != 1:
            raise ConfigurationError(
                f"a loss adapts to one optimizer, not {len(trainer.optimizers)}; return one from "
                "configure_optimizers"
            )
        optimizer = trainer.optimizers[0]
        precision = trainer.precision_plugin
        scaler = getattr(precision, "scaler", None)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            raise ConfigurationError(
                "a fused optimizer unscales gradients where nothing can be seen of it; pass "
                "fused=False, or precision='bf16-mixed'"
            )
        mixed = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
        return _with_clipping(criterion.adalfl, trainer).attach(
            trainer.strategy.model,
            optimizer,
            criterion.kind,
            task_loss=criterion.objective,
            seed=criterion.seed,
            strategy=criterion.strategy or "auto",
            precision=mixed.get(str(precision.precision)),
            scaler=scaler,
            group=torch.distributed.group.WORLD if trainer.world_size > 1 else None,
        )

    def _batches(self, loader: Any, purpose: str) -> Batches:
        if isinstance(loader, list | tuple | dict):
            loader = _First(CombinedLoader(loader, "max_size_cycle"))
        return Batches(loader, derive_seed(self._criterion.seed, purpose), self._on_device)

    def _on_device(self, batch: Any) -> Any:
        batch = self._trainer.precision_plugin.convert_input(batch)
        batch = self._module._on_before_batch_transfer(batch, dataloader_idx=0)
        return self._trainer.strategy.batch_to_device(batch, dataloader_idx=0)

    def state_dict(self) -> dict[str, Any]:
        return {"training": self.adapt.state_dict(), "valid": self._valid.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.adapt.load_state_dict(state["training"])
        self._valid.load_state_dict(state["valid"])

    def install(self) -> None:
        """Watch the module's `training_step`."""
        step = self._step

        @wraps(step)
        def training_step(*args: Any, **kwargs: Any) -> Any:
            return self._watched_step(args, kwargs)

        self._module.training_step = training_step

    def remove(self) -> None:
        """Stop watching it."""
        self._module.__dict__.pop("training_step", None)
        if self._instance_step is not None:
            self._module.training_step = self._instance_step

    # Training

    def _watched_step(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args = (*args, *kwargs.values())
        kept = tuple(map(_own_containers, args))
        if self._observed is None:
            self._observed = self.adapt.observe()
        observed = self._observed
        moment = Moment(self._module, everywhere=True)
        values: list[Tensor] = []

        def receive(outputs: Tensor, targets: Tensor) -> Tensor:
            if values:
                raise ConfigurationError(
                    "training_step calls the adaptive loss more than once; call it for one head "
                    "and a fixed loss for the others"
                )
            values.append(
                observed.loss_of(outputs, targets, moment, lambda: self._rerun(kept).outputs)
            )
            return values[0]

        with self._criterion.receiving(receive):
            returned = self._step(*args)
        if values:
            self._passes.append(_Pass(kept, moment, values[0].detach()))
        elif returned is not None:
            raise ConfigurationError(
                "training_step does not call the adaptive loss; return criterion(outputs, targets)"
            )
        return returned

    def before_step(self) -> None:
        """Take note of the gradients and of how the optimizer will answer them."""
        observed = self._observed
        if observed is None or not self._passes:
            return
        observed.before_clipping()
        self._expected = norm(observed.clipped)
        observed.before_step(clip=False)
        if not self._is_checked:
            observed.leave_out(self._other_terms())
            self._is_checked = True

    def learn(self) -> float | None:
        """Update the loss where the optimizer has taken a step; return T on validation."""
        observed, expected = self._observed, self._expected
        if observed is None or expected is None:
            return None
        remedy = "clip with Trainer(gradient_clip_val=...) and leave gradients alone in hooks"
        require_clipped(expected, self._parameters, remedy)
        batch = next(self._valid) if self.adapt.is_due else None

        def rerun() -> tuple[Tensor, Tensor]:
            reached = self._rerun((batch, 0))
            return reached.outputs, reached.targets

        with randomness_kept(), gradients_kept(self._parameters):
            found = observed.learn(rerun=rerun)
        self._observed, self._expected, self._passes = None, None, []
        return found.task_loss

    def _other_terms(self) -> Gradients:
        """Return the gradients of what `training_step` adds to the loss, of all passes together."""
        total = [torch.zeros_like(theta) for theta in self._parameters]
        for one in self._passes:
            value = one.value.clone().requires_grad_()
            with (
                one.moment.repeated(),
                self._muted(),
                torch.enable_grad(),
                self._criterion.receiving(lambda *_, value=value: value),
            ):
                returned = self._step(*self._accepted(one.args))
            loss = returned["loss"] if isinstance(returned, Mapping) else returned
            _require_linear(loss, value)
            found = torch.autograd.grad(loss, self._parameters, allow_unused=True)
            for index, g in enumerate(found):
                if g is not None:
                    total[index] += g / self._trainer.accumulate_grad_batches
        self.adapt.average(total)
        return list(total)

    # Repeating

    def _rerun(self, args: tuple[Any, ...]) -> _ReachedError:
        """Run `training_step` up to the loss, without a trace."""
        with self._muted(), self._criterion.receiving(_stop):
            try:
                self._step(*self._accepted(args))
            except _ReachedError as reached:
                return reached
        raise ConfigurationError(
            "training_step did not call the adaptive loss when it was run again; call it always"
        )

    def _accepted(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what `training_step` takes: it may do without the index."""
        parameters = inspect.signature(self._step).parameters.values()
        takes_any = any(one.kind is one.VAR_POSITIONAL for one in parameters)
        count = len(args) if takes_any else len(parameters)
        return tuple(map(_own_containers, args[:count]))

    @contextmanager
    def _muted(self) -> Iterator[None]:
        """Inside the block the module logs nothing, and what it counts is undone."""
        with ExitStack() as stack:
            stack.enter_context(attributes_kept(self._module))
            for name in ("log", "log_dict"):
                stack.enter_context(patch.object(self._module, name, _nothing))
            if self._trainer.loggers:
                loggers = [DummyLogger() for _ in self._trainer.loggers]
                stack.enter_context(patch.object(self._trainer, "_loggers", loggers))
            stack.enter_context(self._trainer.precision_plugin.train_step_context())
            yield

    # Before training

    def warm_up(self) -> None:
        """Learn the loss offline, with passes that end where `training_step` calls it."""
        train = self._batches(self._trainer.train_dataloader, "warm-up")
        valid = self._batches(self._loader, "warm-up/valid")
        forward = self._module.__dict__.get("forward")

        def up_to_loss(drawn: _Drawn) -> Tensor:
            self._forward_is(forward)
            try:
                with seeded(drawn.seed):
                    return self._rerun((drawn.batch, 0)).outputs
            finally:
                self._module.forward = up_to_loss

        def pairs(batches: Batches, purpose: str) -> Iterator[tuple[tuple[_Drawn], Tensor]]:
            for index, batch in enumerate(batches):
                drawn = _Drawn(batch, derive_seed(self._criterion.seed, purpose, index))
                yield (drawn,), self._targets(drawn, forward, up_to_loss)

        optimizer = self._trainer.optimizers[0]
        self._module.forward = up_to_loss
        try:
            with (
                randomness_kept(),
                before_scheduling(optimizer),
                scaler_kept(getattr(self._trainer.precision_plugin, "scaler", None)),
            ):
                held_out = EndlessIterator(pairs(valid, "pass/valid"), valid)
                self.adapt.warm_up(pairs(train, "pass"), held_out)
        finally:
            self._forward_is(forward)

    def _targets(self, drawn: _Drawn, forward: Any, up_to_loss: Any) -> Tensor:
        """Return the targets, which `training_step` alone knows."""
        self._forward_is(forward)
        try:
            with torch.no_grad(), Moment(self._module).kept(), seeded(drawn.seed):
                return self._rerun((drawn.batch, 0)).targets
        finally:
            self._module.forward = up_to_loss

    def _forward_is(self, forward: Any) -> None:
        self._module.__dict__.pop("forward", None)
        if forward is not None:
            self._module.forward = forward


def _with_clipping(adalfl: AdaLFL, trainer: Any) -> AdaLFL:
    """Return settings with the trainer's clipping.

    Raises:
        ConfigurationError: they have another.
    """
    limit = trainer.gradient_clip_val or None
    by_value = str(trainer.gradient_clip_algorithm or "norm").rsplit(".", 1)[-1].lower() == "value"
    limits = (None, limit) if by_value else (limit, None)
    for name, value in zip(("clip_norm", "clip_value"), limits, strict=True):
        if getattr(adalfl, name) not in (None, value):
            raise ConfigurationError(
                f"AdaLFL({name}={getattr(adalfl, name)}) is not how the trainer clips; unset it "
                "and use Trainer(gradient_clip_val=..., gradient_clip_algorithm=...)"
            )
    return replace(adalfl, clip_norm=limits[0], clip_value=limits[1])


def _require_linear(loss: Any, value: Tensor) -> None:
    """Raise `ConfigurationError` unless the loss is a constant times `value`, and other terms."""
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        raise ConfigurationError("training_step does not return what the adaptive loss gave")
    (share,) = torch.autograd.grad(loss, value, create_graph=True, allow_unused=True)
    if share is None or share.requires_grad:
        raise ConfigurationError(
            "training_step must return the adaptive loss times a constant, plus other terms; it "
            "returns another function of it"
        )


def _nothing(*_: Any, **__: Any) -> None:
    """Stand in for logging."""


def _own_containers(batch: Any) -> Any:
    """Return a batch whose containers a `training_step` may change."""
    if type(batch) is dict:
        return {key: _own_containers(value) for key, value in batch.items()}
    return [_own_containers(value) for value in batch] if type(batch) is list else batch


@final
class _First:
    """The batches of a `CombinedLoader`, without their indices."""

    def __init__(self, loader: Any):
        self._loader = loader

    def __iter__(self) -> Iterator[Any]:
        for batch, _, _ in iter(self._loader):
            yield batch
