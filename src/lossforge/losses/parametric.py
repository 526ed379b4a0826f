"""Handcrafted losses whose numbers are parameters, to be learned while a network trains."""

import math
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Self, Unpack, assert_never, final

import torch
from torch import Tensor, nn

from lossforge.errors import unknown_name
from lossforge.losses.handcrafted import Focal, LabelSmoothing, Poly1, default_loss
from lossforge.losses.handcrafted.base import TINY, Classification, with_two_logits
from lossforge.losses.loss import LabelOptions, Loss, Reduction
from lossforge.tasks.kinds import Kind
from lossforge.tasks.rows import Rows
from lossforge.validation import require, require_in_range


@final
@dataclass(frozen=True)
class Form:
    """A loss with one number to learn.

    Attributes:
        number: its name.
        start: its value before training: near that at which the loss is the default loss.
        scale: what gradient steps are taken on: the number's logit, or the logarithm of its
            distance from `low`.
        low: the number's lower bound.
        loss: that has the number; None for the default loss of the task's kind times the number.
    """

    number: str
    start: float
    scale: Literal["logit", "log"]
    low: float = 0.0
    loss: type[Classification] | None = None

    def to_raw(self, value: float) -> float:
        """Return a number's place on the scale on which it is learned.

        Raises:
            ConfigurationError: it has none there.
        """
        require_in_range(self.number, value, self.low, exclude_low=True)
        require(self.scale == "log" or value < 1, f"{self.number} must be below 1, not {value!r}")
        match self.scale:
            case "logit":
                return math.log(value / (1 - value))
            case "log":
                return math.log(value - self.low)
        assert_never(self.scale)

    def from_raw(self, raw: Tensor) -> Tensor:
        """Return the number."""
        match self.scale:
            case "logit":
                return raw.sigmoid()
            case "log":
                return self.low + raw.exp()
        assert_never(self.scale)


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        LabelSmoothing.name: Form("smoothing", 0.02, "logit", loss=LabelSmoothing),
        Focal.name: Form("gamma", 0.05, "log", loss=Focal),
        Poly1.name: Form("epsilon", 0.0, "log", low=-1.0, loss=Poly1),
        "rate": Form("factor", 1.0, "log"),
    }
)
"""The losses whose number can be learned in training, by name."""


@final
class ParametricLoss(Loss):
    """A handcrafted loss whose number is a parameter; `AdaLFL.attach` takes it as its loss.

    Args:
        form: "label_smoothing", "focal", "poly1", or "rate": the default loss times a factor, whose
            learning is that of the learning rate (for SGD without weight decay).
        kind: of the task; all forms but "rate" are for classification.
        reduction: as in PyTorch.
        start: the number before training; by default the form's.
        labels: `weight` and `ignore_index`, as of every loss.

    Raises:
        UnknownNameError: there is no such form.
        ConfigurationError: the form does not serve the kind, or the number is out of its range.

    Examples:
        >>> loss = ParametricLoss("label_smoothing")
        >>> print(loss)
        adaptive:label_smoothing with smoothing=0.02
        >>> loss(torch.zeros(1, 2), torch.tensor([0])).requires_grad
        True
    """

    def __init__(
        self,
        form: str,
        kind: Kind | str = "classification",
        reduction: Reduction = "mean",
        *,
        start: float | None = None,
        **labels: Unpack[LabelOptions],
    ) -> None:
        super().__init__(kind, reduction, **labels)
        if form not in FORMS:
            raise unknown_name("loss with a number to learn", form, FORMS)
        self.name, self.form = form, FORMS[form]
        made = self.form.loss
        require(
            made is None or self.kind.shares_losses_with(made.of_kind),
            f"adaptive:{form} is a loss for {made and made.of_kind}, not {self.kind}",
        )
        raw = self.form.to_raw(self.form.start if start is None else start)
        self.raw = nn.Parameter(torch.tensor(raw))
        self._like = default_loss(self.kind) if made is None else made().for_kind(self.kind)

    def numbers(self) -> dict[str, float]:
        """Return what was learned so far, by name.

        Examples:
            >>> ParametricLoss("rate", "regression").numbers()
            {'factor': 1.0}
        """
        return {self.form.number: float(self.form.from_raw(self.raw.detach()))}

    def set_number(self, value: float) -> None:
        """Set the number.

        Raises:
            ConfigurationError: it is out of its range.
        """
        nn.init.constant_(self.raw, self.form.to_raw(value))

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each row, [N]."""
        if self.form.loss is None:
            return self.form.from_raw(self.raw) * self._like.per_row(outputs, targets)
        logits, targets = with_two_logits(outputs, targets)
        return self._terms(self.kind.encode(targets, logits), logits.log_softmax(1)).sum(1)

    def weighted_rows(self, rows: Rows, term_weights: Tensor) -> Tensor:
        """Return the loss of each row with classes weighted, [N]."""
        if self.form.loss is None:
            return self.form.from_raw(self.raw) * self._like.weighted_rows(rows, term_weights)
        logits, targets = with_two_logits(rows.outputs, rows.targets)
        y = self.kind.encode(targets, logits)
        return (self._terms(y, logits.log_softmax(1)) * term_weights).sum(1)

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        """Return the loss of each output for probabilities `p` [B, C, ...], as plots need it."""
        if self.form.loss is None:
            return self.form.from_raw(self.raw) * self.kind.default_values(y, p)
        return self._terms(y, p.clamp_min(TINY).log())

    def _terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        # The loss's own formula, with a tensor where it has a number.
        like: Any = copy(self._like)
        setattr(like, self.form.number, self.form.from_raw(self.raw))
        values: Tensor = like.terms(y, log_p)
        return values

    def definition(self) -> dict[str, object]:
        """Return the loss as plain data."""
        return {
            "type": "parametric",
            "form": self.name,
            "kind": self.kind.name,
            "raw": self.raw.item(),
        }

    @classmethod
    def from_definition(cls, fields: dict[str, object], reduction: Reduction) -> Self:
        """Build the loss from what `definition` returned, without its type.

        Raises:
            TypeError: a field is unknown or missing, or is no number.
        """
        make: Callable[..., Self] = cls
        raw = fields.pop("raw", None)
        # Not isfinite: a whole number of some hundred digits is no float.
        if not isinstance(raw, int | float) or not abs(raw) <= torch.finfo(torch.float32).max:
            raise TypeError(f"raw must be a number, not {raw!r}")
        loss = make(**fields, reduction=reduction)
        nn.init.constant_(loss.raw, raw)
        return loss.requires_grad_(False)

    def __str__(self) -> str:
        """Return the name with the number as it is now."""
        ((number, value),) = self.numbers().items()
        return f"adaptive:{self.name} with {number}={value:.3g}"
