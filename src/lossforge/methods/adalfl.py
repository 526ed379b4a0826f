"""AdaLFL: a loss that adapts while a network trains under it.

Source: Raymond et al., "Online Loss Function Learning" (arXiv 2301.13247); thesis, ch. 6.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.losses import (
    ADALFL_NETWORK,
    Architecture,
    CalibratedCrossEntropy,
    Loss,
    NeuralLoss,
    default_loss,
)
from lossforge.losses.neural import Activation
from lossforge.losses.parametric import FORMS
from lossforge.methods.adaptive_training import AdaptiveTraining, LossSnapshot, Pace
from lossforge.methods.any_batch import AnyBatch, as_pair
from lossforge.methods.observed_step import ObservedStep
from lossforge.methods.warm_up import WarmUp
from lossforge.randomness import torch_generator
from lossforge.tasks.kinds import Classification, Kind, as_kind
from lossforge.training.hypergradient import (
    OnlineEngine,
    OnlineStrategy,
    OptimizerResponse,
    TrainState,
    preferred,
)
from lossforge.training.module import OutputSpec
from lossforge.validation import require, require_in_range

HAVE_NUMBERS = tuple(name for name, form in FORMS.items() if form.loss is not None)
"""forms that are more than a factor on the default loss"""

__all__ = ["AdaLFL", "AdaptiveTraining", "AnyBatch", "LossSnapshot", "ObservedStep", "as_pair"]


@final
@dataclass(frozen=True)
class AdaLFL:
    """Adaptive loss function learning: a loss network that adapts while the network trains.

    Examples:
        >>> torch.manual_seed(0).initial_seed()
        0
        >>> x, y = torch.randn(64, 4), torch.randint(3, (64,))
        >>> model = nn.Linear(4, 3)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> adapt = AdaLFL(trial_steps=8).attach(model, optimizer, outputs=3)
        >>> adapt.warm_up([(x[:32], y[:32])], [(x[32:], y[32:])])
        >>> step = adapt.step((x[:32], y[:32]), (x[32:], y[32:]))
        >>> step.task_loss > 0
        True
    """

    name: ClassVar[str] = "adalfl"

    warm_up_steps: int | None = None
    """meta steps (updates of the loss) in the warm-up before training; 2500 in the paper. By
    default 2500 in regression, none where the loss has a form, and else 1500"""
    warm_up_learning_rate: float = 1e-3
    """learning rate of Adam on the loss network's weights in the warm-up"""
    warm_up_scales: tuple[float, ...] = (0.1, 0.3, 1, 3, 10, 30)
    """scales of cross-entropy, to which the output of the loss network is added. Each is tried in
    a short training; the warm-up begins with the smallest that does as well as the best, within a
    standard error, and its loss is kept if it is better by one. Empty, as in the paper and always
    in regression: the loss network alone"""
    form: Literal["", "label_smoothing", "focal", "poly1"] = "label_smoothing"
    """handcrafted loss with a number that takes the place of cross-entropy there. The number is
    tried and adapts too, and cross-entropy at its best temperature judges the trials and is what
    the loss is to lower; empty for none"""
    warm_up_numbers: tuple[float, ...] = (1e-6, 0.03, 0.1, 0.3)
    """numbers of the form that are tried with each scale, first all in a quarter of the trial's
    steps, then the best third in half of them, and the best ninth in all"""
    warm_up_horizons: tuple[int, ...] | None = None
    """training steps of the network in the warm-up before its weights are reset; 1 in the paper,
    where the loss never sees a trained network. With several values, the warm-up continues with
    the one that does best in a first trial, and the best loss of all trials is kept. By default
    100 in regression, and else 1, 10 and 100"""
    warm_up_fresh: bool = False
    """reset to new random weights in the warm-up, as in the released code; else to the initial
    weights of the network that is to be trained"""
    trial_every: int = 500
    """meta steps between trials of the warm-up, which compare scales or horizons"""
    trial_steps: int = 250
    """training steps under the loss in a trial of the warm-up, before its validation metric"""
    meta_learning_rate: float = 1e-5
    """learning rate of Adam on the loss network's weights during training"""
    numbers_learning_rate: float = 0.02
    """learning rate of Adam on the logarithm of the scale and on the form's number (its logit or
    logarithm) during training; 0 leaves them as the warm-up chose them"""
    numbers_range: float = 2.0
    """most by which training may multiply or divide the scale and the form's number (its odds)
    from where the warm-up left them"""
    online: bool = True
    """adapt the loss during training; else it stays as the warm-up left it"""
    every: int = 1
    """training steps between updates of the loss"""
    hidden: tuple[int, ...] = ADALFL_NETWORK.hidden
    """widths of the loss network's hidden layers"""
    activation: Activation = ADALFL_NETWORK.activation
    """activation of the loss network's hidden layers"""
    average: bool = False
    """take the mean over the outputs as the loss of a row, as in the paper; else the sum, whose
    gradient does not shrink with the number of classes"""
    clip_norm: float | None = None
    """maximum norm of the network's gradient, which is clipped above it"""
    clip_value: float | None = None
    """maximum absolute value in the network's gradient; instead of clipping by norm"""
    record_every: int = 0
    """training steps between copies of the loss that are kept for plots; 0 keeps none"""

    def __post_init__(self) -> None:
        if self.warm_up_steps is not None:
            require_in_range("warm_up_steps", self.warm_up_steps, 0)
        require(self.warm_up_horizons != (), "warm_up_horizons must name one or more")
        for scale in self.warm_up_scales:
            require_in_range("warm_up_scales", scale, 0, exclude_low=True)
        require(
            self.form in ("", *HAVE_NUMBERS),
            f"form must be empty or one of {', '.join(HAVE_NUMBERS)}, not {self.form!r}",
        )
        for number in self.warm_up_numbers if self.form else ():
            FORMS[self.form].to_raw(number)
        require_in_range("numbers_learning_rate", self.numbers_learning_rate, 0)
        require_in_range("numbers_range", self.numbers_range, 1)
        for horizon in self.warm_up_horizons or ():
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
        self.architecture(Classification())

    def architecture(self, task: Kind | str) -> Architecture:
        """Return the loss network's form."""
        residual = as_kind(task).predicts_probabilities and len(self.warm_up_scales) > 0
        form = self.form if residual else ""
        return Architecture(
            self.hidden, self.activation, self.activation, self.average, residual, form
        )

    def task_loss(self, task: Kind | str) -> Loss:
        """Return T where none is given: what the loss is to lower on validation rows.

        Examples:
            >>> print(AdaLFL().task_loss("classification"), AdaLFL().task_loss("regression"))
            calibrated_cross_entropy mse
            >>> print(AdaLFL(form="").task_loss("classification"))
            cross_entropy
        """
        kind = as_kind(task)
        if self.architecture(kind).form:
            return CalibratedCrossEntropy().for_kind(kind)
        return default_loss(kind)

    def attach(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        kind: Kind | str = "classification",
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
            kind: of the task, one of `lossforge.tasks.kinds` or its name.
            outputs: how many the model has; checked where given.
            loss: M, whose parameters are learned, such as a `ParametricLoss`; by default a new loss
                network. The one that is given is copied.
            task_loss: T, measured on validation batches; by default cross-entropy at its best
                temperature where the loss has a form, else cross-entropy or squared error.
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
        kind = as_kind(kind)
        several = isinstance(model, nn.DataParallel) and len(model.device_ids) > 1
        require(
            not several,
            "nn.DataParallel copies the model at every step, which cannot be followed; use "
            "nn.parallel.DistributedDataParallel, or one device",
        )
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
        loss = self._loss_network(kind, seed) if loss is None else _learnable(loss, kind)
        loss = deepcopy(loss).to(device).requires_grad_()
        target = self.task_loss(kind) if task_loss is None else task_loss
        strategies = preferred(model) if strategy == "auto" else (strategy,)
        pace = Pace(
            self.meta_learning_rate,
            self.numbers_learning_rate,
            self.numbers_range,
            self.every if self.online else 0,
            self.record_every,
        )
        return AdaptiveTraining(
            OnlineEngine(state, strategies), loss, target, self._warm_up(kind), pace
        )

    def _loss_network(self, kind: Kind, seed: int) -> NeuralLoss:
        loss = NeuralLoss(self.architecture(kind), torch_generator(seed, "loss"), kind=kind)
        if loss.architecture.form and self.warm_up_numbers:
            loss.set_number(min(self.warm_up_numbers))  # nearest to the default loss
        return loss

    def _warm_up(self, kind: Kind) -> WarmUp:
        steps = 1500
        horizons: tuple[int, ...] = (1, 10, 100)
        if not kind.predicts_probabilities:
            steps, horizons = 2500, (100,)
        elif self.architecture(kind).form:
            steps = 0
        return WarmUp(
            steps if self.warm_up_steps is None else self.warm_up_steps,
            self.warm_up_learning_rate,
            self.warm_up_scales,
            self.warm_up_numbers if self.form else (),
            self.warm_up_horizons or horizons,
            self.trial_every,
            self.trial_steps,
        )


def _require_fit(model: nn.Module, response: OptimizerResponse) -> None:
    moved = {id(theta) for theta in response.parameters()}
    known = {id(theta) for theta in model.parameters()}
    if not moved:
        raise ConfigurationError("the optimizer trains nothing: all its parameters are frozen")
    if not moved <= known:
        raise ConfigurationError("the optimizer holds parameters that are not the model's")


def _learnable(loss: Loss, kind: Kind) -> Loss:
    require(any(True for _ in loss.parameters()), f"{loss} has no parameters that could be learned")
    return loss.for_kind(kind)
