"""Full training of a network under any loss: fixed, learned, or adapting while it trains."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from lossforge.losses import CalibratedCrossEntropy, Loss, default_loss
from lossforge.losses.metric_objective import MetricObjective
from lossforge.losses.parametric import ParametricLoss
from lossforge.losses.resolve import METRIC, resolve_loss
from lossforge.methods.adalfl import AdaLFL, AdaptiveTraining
from lossforge.methods.adapting_rates import AdaptingRates
from lossforge.methods.adaptive import AdaptiveNumber, adapts_rates, check_adaptive, is_adaptive
from lossforge.methods.warm_up import TRIAL_BATCHES
from lossforge.models import Model, initialize, resolve
from lossforge.randomness import derive_seed, isolated_seed, torch_generator
from lossforge.tasks import Batches, Task
from lossforge.training.full import FixedLoss, FullTraining, Recipe
from lossforge.training.hypergradient import TrainState

AdaptOn = Literal["valid", "train"]


@final
@dataclass(frozen=True)
class TrainingConfig:
    """Configuration of one training.

    Attributes:
        loss: a name with options, the path of a saved loss, a loss, "adalfl", or "adaptive:FORM".
        recipe: of the training.
        adalfl: settings of the adaptive loss, where it is the one.
        adapt_on: rows that the adaptive loss learns from: held-out ones, or training rows drawn
            anew.
        task_loss: what the adaptive loss is to lower on them, "metric" for the smooth form of what
            the task is measured by; where empty, the default loss for "adalfl", and calibrated
            cross-entropy for "adaptive:FORM" in classification.
    """

    loss: str | Loss
    recipe: Recipe
    adalfl: AdaLFL
    adapt_on: AdaptOn = "valid"
    task_loss: str | Loss = ""

    def check(self, task: Task) -> None:
        """Raise `LossforgeError` if the loss does not exist or does not fit the task."""
        if not is_adaptive(self.loss):
            _find(self.loss, task)
        else:
            check_adaptive(str(self.loss), task.kind)
        self._task_loss(task)

    def _task_loss(self, task: Task) -> Loss:
        if self.task_loss == METRIC:
            return MetricObjective(task.measure)
        if self.task_loss != "":
            return _find(self.task_loss, task)
        if self.loss == AdaLFL.name:
            return self.adalfl.task_loss(task.kind)
        # Plain cross-entropy punishes unsure predictions however well they are ordered, and so
        # unlearns what label smoothing gains.
        if is_adaptive(self.loss) and task.kind.predicts_probabilities:
            return CalibratedCrossEntropy().for_kind(task.kind)
        return default_loss(task.kind)

    def begin(
        self, task: Task, model: Model, seed: int, warmed: Callable[[int, int], None] | None
    ) -> FullTraining:
        """Return the training of a fresh network.

        Args:
            task: to learn.
            model: the network.
            seed: the same seed begins from the same weights under every loss.
            warmed: receives progress of an adaptive loss's warm-up; None for a training to be
                restored, which needs none.
        """
        factory = resolve(model, task)
        module = initialize(factory, derive_seed(seed, "initialization"))
        trainee = self.recipe.make_trainee(module.to(task.device))
        seed = derive_seed(seed, "training")
        if not is_adaptive(self.loss):
            loss = _find(self.loss, task).to(task.device)
            return FullTraining(self.recipe, task, trainee, FixedLoss(trainee, loss), seed)
        if adapts_rates(self.loss):
            rates = self._adapting_rates(trainee, task, seed)
            return FullTraining(self.recipe, task, trainee, rates, seed)
        objective = Adapting(self._attach(trainee, task, seed), task, self, seed)
        if warmed is not None and self.loss == AdaLFL.name:
            objective.warm_up(warmed, factory)
        return FullTraining(self.recipe, task, trainee, objective, seed)

    def _adapting_rates(self, trainee: TrainState, task: Task, seed: int) -> AdaptingRates:
        split = task.valid if self.adapt_on == "valid" else task.train
        return AdaptingRates(
            trainee,
            default_loss(task.kind).to(task.device),
            self._task_loss(task).to(task.device),
            Batches(split, self.recipe.batch_size, torch_generator(seed, "adapt")),
            AdaptiveNumber.of_rates(str(self.loss)),
            self.adalfl.record_every,
        )

    def _attach(self, trainee: TrainState, task: Task, seed: int) -> AdaptiveTraining:
        clip_norm = self.recipe.clip_norm or self.adalfl.clip_norm
        settings, loss = replace(self.adalfl, clip_norm=clip_norm), None
        if self.loss != AdaLFL.name:
            number, loss = self._number(task)
            settings = number.within(settings)
        return settings.attach(
            trainee.model,
            trainee.optimizer,
            task.kind,
            task.outputs,
            loss=loss,
            task_loss=self._task_loss(task).to(task.device),
            seed=derive_seed(seed, "loss"),
            precision=trainee.precision,
        )

    def _number(self, task: Task) -> tuple[AdaptiveNumber, ParametricLoss]:
        return AdaptiveNumber.named(str(self.loss), task.kind)


def _find(loss: str | Loss, task: Task) -> Loss:
    """Return a loss of one's own by its name, or a copy of the one that is given."""
    found = resolve_loss(loss, task.kind) if isinstance(loss, str) else loss
    return found.for_task(task)


@final
class Adapting:
    """The objective whose loss adapts; it draws its validation batches itself.

    Attributes:
        adapt: the loss and its training.
    """

    def __init__(self, adapt: AdaptiveTraining, task: Task, config: TrainingConfig, seed: int):
        self.adapt, self._task, self._seed = adapt, task, seed
        self._size, self._is_fresh = config.recipe.batch_size, config.adalfl.warm_up_fresh
        self._split = task.valid if config.adapt_on == "valid" else task.train
        self._valid = self._stream("adapt")

    def warm_up(
        self, progress: Callable[[int, int], None], factory: Callable[[], nn.Module]
    ) -> None:
        """Learn the loss before training.

        Args:
            progress: hears how many steps are done, and how many there are.
            factory: returns a network like the one that is trained.
        """
        train = Batches(self._task.train, self._size, torch_generator(self._seed, "warm up"))
        starts = count()

        def fresh() -> nn.Module:
            seed = derive_seed(self._seed, "warm up initialization", next(starts))
            return initialize(factory, seed)

        with isolated_seed(derive_seed(self._seed, "warm up")):
            self.adapt.warm_up(
                _Endless(train),
                _Endless(self._stream("warm up valid")),
                progress,
                judge=self._judge(),
                fresh=fresh if self._is_fresh else None,
            )

    def step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Train for one step."""
        self.adapt.step(batch, self._valid.draw())

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` goes on from."""
        return {"adapt": self.adapt.state_dict(), "valid": self._valid.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.adapt.load_state_dict(state["adapt"])
        self._valid.restore(state["valid"])

    def _judge(self) -> list[tuple[Tensor, Tensor]]:
        """Return rows that trials are judged on, each once, in batches."""
        rows = torch.arange(min(len(self._split), TRIAL_BATCHES * self._size))
        inputs, targets = self._split.inputs, self._split.targets
        return [
            (inputs.index_select(0, some), targets[some])
            for some in rows.to(targets.device).split(self._size)
        ]

    def _stream(self, purpose: str) -> Batches:
        return Batches(self._split, self._size, torch_generator(self._seed, purpose))


@final
class _Endless:
    """A stream of batches as something to iterate over."""

    def __init__(self, batches: Batches):
        self._batches = batches

    def __iter__(self) -> "_Endless":
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        return self._batches.draw()
