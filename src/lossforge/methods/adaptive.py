"""The names of losses that adapt while a network trains: "adalfl" and "adaptive:FORM"."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, final

from lossforge.losses.parametric import FORMS, ParametricLoss
from lossforge.methods.adalfl import AdaLFL, LossSnapshot
from lossforge.specs import from_options, parse_spec
from lossforge.tasks.kinds import Kind
from lossforge.validation import require_in_range

PREFIX = "adaptive:"
LAYER_RATES = "layer_rates"


def is_adaptive(name: object) -> bool:
    """Tell whether that is the name of a loss that adapts in training.

    Examples:
        >>> is_adaptive("adalfl"), is_adaptive("adaptive:focal"), is_adaptive("focal")
        (True, True, False)
    """
    return isinstance(name, str) and (name == AdaLFL.name or name.startswith(PREFIX))


def adapts_rates(name: object) -> bool:
    """Tell whether that is the name of learning rates that adapt, one a layer, and no loss.

    Examples:
        >>> adapts_rates("adaptive:layer_rates:every=2"), adapts_rates("adaptive:rate")
        (True, False)
    """
    return (
        isinstance(name, str)
        and name.partition(":")[0] + ":" == PREFIX
        and (parse_spec(name.removeprefix(PREFIX))[0] == LAYER_RATES)
    )


def check_adaptive(name: str, kind: Kind) -> None:
    """Raise `LossforgeError` where there is no adaptive loss of that name for a kind of task."""
    if adapts_rates(name):
        AdaptiveNumber.of_rates(name)
    elif name != AdaLFL.name:
        AdaptiveNumber.named(name, kind)


def adaptive_names() -> list[str]:
    """Return the names of losses with a number that is learned in training."""
    return [PREFIX + form for form in FORMS]


@final
@dataclass(frozen=True)
class AdaptiveNumber:
    """How the number of a handcrafted loss is learned; options of ``adaptive:FORM``.

    Raises:
        ConfigurationError: an option is out of its range.
    """

    meta_learning_rate: float = 0.05
    """step size of Adam on the number's logit or logarithm"""
    every: int = 1
    """training steps between updates of the number"""
    start: float = 0.0
    """the number before training; 0 for the form's own"""

    def __post_init__(self) -> None:
        require_in_range("meta_learning_rate", self.meta_learning_rate, 0, exclude_low=True)
        require_in_range("every", self.every, 1)

    @classmethod
    def named(cls, text: str, kind: Kind | str) -> tuple[Self, ParametricLoss]:
        """Return settings and loss of a name such as ``adaptive:focal:meta_learning_rate=0.1``.

        Raises:
            UnknownNameError: there is no such form.
            ConfigurationError: an option is wrong, or the form does not serve the kind.

        Examples:
            >>> settings, loss = AdaptiveNumber.named("adaptive:focal:every=2", "classification")
            >>> print(settings.every, loss)
            2 adaptive:focal with gamma=0.05
        """
        form, options = parse_spec(text.removeprefix(PREFIX))
        settings = from_options(cls, options)
        return settings, ParametricLoss(form, kind, start=settings.start or None)

    @classmethod
    def of_rates(cls, text: str) -> Self:
        """Return the settings in a name such as ``adaptive:layer_rates:meta_learning_rate=0.1``.

        Raises:
            ConfigurationError: an option is wrong.
        """
        _, options = parse_spec(text.removeprefix(PREFIX))
        settings = from_options(cls, options)
        require_in_range("start", settings.start, 0)
        return settings

    def within(self, settings: AdaLFL) -> AdaLFL:
        """Return settings of online learning with these, and no warm-up."""
        return replace(
            settings,
            warm_up_steps=0,
            meta_learning_rate=self.meta_learning_rate,
            every=self.every,
        )


def numbers_over_time(moments: Sequence[LossSnapshot]) -> list[dict[str, Any]]:
    """Return the numbers of losses that `AdaLFL` kept with `record_every`, step by step."""
    return [
        {"step": moment.step, "factor": moment.factor, "numbers": moment.loss.numbers()}
        for moment in moments
        if isinstance(moment.loss, ParametricLoss)
    ]
