"""Losses by name: a handcrafted one with options, one of the zoo, or the path of a saved one."""

from collections.abc import Callable
from pathlib import Path

from lossforge.errors import ConfigurationError, UnknownNameError, unknown_name
from lossforge.losses import zoo
from lossforge.losses.class_weights import check_weighting
from lossforge.losses.handcrafted import HANDCRAFTED, OBJECTIVES, Handcrafted, default_loss
from lossforge.losses.loss import Loss
from lossforge.losses.metric_objective import MetricObjective
from lossforge.losses.storage import load
from lossforge.specs import parse_spec
from lossforge.tasks.kinds import Kind, as_kind
from lossforge.tasks.metrics import Metric, as_metric
from lossforge.validation import require

CALIBRATED = "calibrated"
"""of an objective that does not depend on how large a network's outputs are"""


def resolve_loss(text: str, kind: Kind | str | None = None) -> Loss:
    """Return a loss by its name (``focal:gamma=1``, ``zoo:NAME``), or by the path of its file.

    The option ``weight=balanced`` or ``weight=root`` weighs the classes of a task by their numbers;
    see `lossforge.losses.class_weights`.

    Args:
        text: a name, a loss file, or the folder of the run that found it.
        kind: what it shall serve; any where None.

    Raises:
        UnknownNameError: no loss has that name, and there is no such file.
        ConfigurationError: an option is wrong, or the loss is of the other kind.
        FileFormatError: the file is damaged.

    Examples:
        >>> print(resolve_loss("huber:delta=0.5"))
        huber:delta=0.5
        >>> resolve_loss("mse", "classification")
        Traceback (most recent call last):
        ...
        lossforge.errors.ConfigurationError: mse is a loss for regression, not classification
    """
    loss = _find(text)
    return loss if kind is None else loss.for_kind(as_kind(kind), text)


METRIC = "metric"
"""of an objective that is the smooth form of what a task is measured by"""


def objective(text: str, kind: Kind | str, metric: Metric | None = None) -> Loss:
    """Return the loss T that a learned loss is to lower: by its name, or the default where empty.

    "calibrated" is cross-entropy at its best temperature in classification, and the default loss
    where there is no such thing; "metric" is the smooth form of the metric.

    Args:
        text: a name.
        kind: of the task.
        metric: of the task; by default the kind's.

    Examples:
        >>> print(objective("", "regression"), objective("focal:gamma=1", "classification"))
        mse focal:gamma=1
        >>> print(objective("calibrated", "regression"), objective("calibrated", "classification"))
        mse calibrated_cross_entropy
    """
    if text == METRIC:
        return MetricObjective(as_metric(metric, kind))
    if text == CALIBRATED:
        own = as_kind(kind)
        names = [n for n, make in OBJECTIVES.items() if make().kind.shares_losses_with(own)]
        return resolve_loss(names[0], kind) if names else default_loss(kind)
    return resolve_loss(text, kind) if text else default_loss(kind)


def _find(text: str) -> Loss:
    if Path(text).exists():
        return load(text)
    if zoo.is_in_zoo(text):
        return zoo.load(text)
    name, options = parse_spec(text)
    if name in OBJECTIVES:
        require(not options, f"{text}: {name} has no options")
        return OBJECTIVES[name]()
    if name not in HANDCRAFTED:
        if text.endswith(".json"):
            raise UnknownNameError(
                f"no loss or file is named {text!r}; check the path, which starts from the working "
                "directory unless it is absolute"
            )
        raise unknown_name("loss or file", text, [*HANDCRAFTED, *OBJECTIVES])
    make: Callable[..., Handcrafted] = HANDCRAFTED[name]
    weighting = options.pop("weight", None)
    try:
        loss = make(**{option: float(value) for option, value in options.items()})
    except TypeError:
        known = ", ".join(make().options()) or "none"
        raise ConfigurationError(f"{text}: the options of {name} are: {known}") from None
    except ValueError:
        raise ConfigurationError(f"{text}: an option of {name} is not a number") from None
    return loss if weighting is None else loss.weighted(check_weighting(weighting))
