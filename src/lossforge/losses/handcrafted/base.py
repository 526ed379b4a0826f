"""What every handcrafted loss has: a name, a few numbers, a formula, and its source in PyTorch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Self, Unpack, final

import torch
from torch import Tensor

from lossforge.errors import ConfigurationError
from lossforge.losses.class_weights import Weighting, check_weighting, class_weights
from lossforge.losses.loss import ElementwiseLoss, LabelOptions, Loss, Reduction
from lossforge.tasks import kinds
from lossforge.tasks.kinds import Kind, as_kind
from lossforge.tasks.rows import Rows
from lossforge.tasks.task import Task

TINY = 1e-30
"""Least probability whose logarithm is taken where only probabilities are given."""


@final
@dataclass(frozen=True)
class Setting:
    """A number of a handcrafted loss, and the values that `explain` tries for it.

    Attributes:
        name: of the constructor's argument and of the attribute.
        low: the least value that `explain` tries; None where it keeps the default.
        high: the greatest one.
        logarithmic: whether values are tried on a logarithmic grid.
    """

    name: str
    low: float | None = None
    high: float | None = None
    logarithmic: bool = False


class Handcrafted(Loss, ABC):
    """A loss with a name and a few numbers.

    A subclass in a file of its own, imported by `lossforge.losses.handcrafted`, is known to every
    command: the first line of its docstring is what `lossforge list losses` prints.

    Attributes:
        name: what commands and files call it.
        of_kind: of the tasks that it serves.
        settings: its numbers, each an argument of the constructor with a default.
    """

    name: ClassVar[str]
    of_kind: ClassVar[Kind]
    settings: ClassVar[tuple[Setting, ...]] = ()

    def __init__(self, reduction: Reduction = "mean", **labels: Unpack[LabelOptions]):
        super().__init__(self.of_kind, reduction, **labels)
        self.weighting: Weighting | None = None

    def weighted(self, weighting: Weighting) -> Self:
        """Return the same loss whose classes have weights by their numbers in a task's training.

        It can be called once `for_task` has counted them.

        Examples:
            >>> from lossforge.losses import CrossEntropy
            >>> print(CrossEntropy().weighted("balanced"))
            cross_entropy:weight=balanced
        """
        same = deepcopy(self)
        same.weighting = weighting
        return same

    def for_task(self, task: Task) -> Self:
        """Return the same loss for a task, with the weights of its classes."""
        served = super().for_task(task)
        if served.weighting is not None:
            served.weight = class_weights(
                task.train.targets, task.kind, task.outputs, served.weighting
            )
        return served

    def forward(
        self, outputs: Tensor, targets: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss, reduced; see `Loss.forward`."""
        self.check_weights()
        return super().forward(outputs, targets, sample_weight)

    @final
    def check_weights(self) -> None:
        """Raise `ConfigurationError` where the weights of the classes are not known yet."""
        if self.weighting is not None and self.weight is None:
            raise ConfigurationError(
                f"{self} weighs classes by their numbers in a task; call its for_task(task) first"
            )

    @abstractmethod
    def formula(self) -> str:
        """Return the loss of one output as a Python expression, from which exports are made.

        Names: ``y`` the target; ``p`` the prediction (a probability in classification); ``z`` the
        raw output; ``C`` the number of outputs. Functions: abs, min, max, log, exp, sqrt.
        """

    @abstractmethod
    def torch_source(self) -> str:
        """Return PyTorch statements that set ``values`` [B, C, ...], the loss of each output.

        They may use ``y`` and ``outputs`` [B, C, ...], ``torch``, ``F`` and ``math``; in regression
        ``p``, which is the outputs; in a `Classification` ``logits``, ``log_p`` and ``p`` of at
        least two classes.
        """

    @final
    def options(self) -> dict[str, float]:
        """Return the loss's own numbers by name."""
        return {setting.name: getattr(self, setting.name) for setting in self.settings}

    def definition(self) -> dict[str, object]:
        """Return the loss as plain data."""
        served = {} if self.kind.name == self.of_kind.name else {"kind": self.kind.name}
        weighting = {} if self.weighting is None else {"weighting": self.weighting}
        return {"type": self.name, **served, **weighting, **self.options()}

    @classmethod
    def from_definition(cls, fields: dict[str, object], reduction: Reduction) -> Self:
        """Build the loss from what `definition` returned, without its type.

        Raises:
            TypeError: a field is unknown or no number.
        """
        make: Callable[..., Self] = cls
        fields = dict(fields)
        kind = as_kind(str(fields.pop("kind", cls.of_kind.name)))
        weighting = fields.pop("weighting", None)
        options = {key: float(value) for key, value in fields.items()}  # type: ignore[arg-type]
        loss = make(**options, reduction=reduction).for_kind(kind)
        return loss if weighting is None else loss.weighted(check_weighting(str(weighting)))

    @final
    def __str__(self) -> str:
        """Return the name with its numbers, as `lossforge train --loss` takes it."""
        options = [f"{key}={value:g}" for key, value in self.options().items()]
        options += [] if self.weighting is None else [f"weight={self.weighting}"]
        return f"{self.name}:{','.join(options)}" if options else self.name


class Classification(Handcrafted, ABC):
    """A classification loss; a single output counts as the logit of the second of two classes."""

    of_kind: ClassVar[Kind] = kinds.Classification()

    @final
    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.from_logits(*with_two_logits(outputs, targets))

    def from_logits(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each row for at least two logits [N, K]."""
        y = self.kind.encode(targets, logits)
        return self.terms(y, finite_log_softmax(logits)).sum(1)

    def weighted_rows(self, rows: Rows, term_weights: Tensor) -> Tensor:
        logits, targets = with_two_logits(rows.outputs, rows.targets)
        y = self.kind.encode(targets, logits)
        return (self.terms(y, finite_log_softmax(logits)) * term_weights).sum(1)

    @abstractmethod
    def terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        """Return the loss of each output.

        Args:
            y: shares of the classes in the target, [N, K].
            log_p: logarithms of the predicted probabilities, [N, K].
        """

    @final
    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        """Return the loss of each output for probabilities `p` [B, C, ...], as plots need it."""
        return self.terms(y, p.clamp_min(TINY).log())


class Regression(Handcrafted, ElementwiseLoss, ABC):
    """A regression loss: a function of the error, summed over the outputs."""

    of_kind: ClassVar[Kind] = kinds.Regression()


def finite_log_softmax(logits: Tensor) -> Tensor:
    """Return log-probabilities, [N, K], that are finite.

    A class that is ruled out, whose logit is -inf, must not make 0 * -inf of its share 0.
    """
    log_p = logits.log_softmax(1)
    return log_p.clamp_min(torch.finfo(log_p.dtype).min)


def with_two_logits(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows of at least two classes; a single output z becomes (0, z)."""
    if outputs.shape[1] != 1:
        return outputs, targets
    y = kinds.Classification().encode(targets, outputs)
    zero = torch.zeros_like(outputs)
    return torch.cat([zero, outputs], dim=1), torch.cat([1 - y, y], dim=1)


def registered(namespace: Mapping[str, object]) -> Mapping[str, type[Handcrafted]]:
    """Return the losses in a module's namespace by name, those with the fewest numbers first."""
    found = [
        thing
        for thing in namespace.values()
        if isinstance(thing, type) and issubclass(thing, Handcrafted) and hasattr(thing, "name")
    ]
    found.sort(key=lambda loss: (loss.of_kind.name, len(loss.settings), loss.name))
    return MappingProxyType({loss.name: loss for loss in found})
