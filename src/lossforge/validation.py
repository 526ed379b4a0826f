"""Range checks for hyper-parameters, each one line to call and one line to read when it fails."""

import math
from numbers import Real

from lossforge.errors import ConfigurationError


def require(condition: bool, message: str) -> None:
    """Raise `ConfigurationError` with `message` unless `condition` holds."""
    if not condition:
        raise ConfigurationError(message)


def require_in_range(
    name: str,
    value: float,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    exclude_low: bool = False,
) -> None:
    """Raise `ConfigurationError` unless `low <= value <= high` (`low < value` with `exclude_low`).

    Examples:
        >>> require_in_range("crossover", 0.7, 0, 1)
        >>> require_in_range("learning_rate", 0.0, 0, exclude_low=True)
        Traceback (most recent call last):
        ...
        lossforge.errors.ConfigurationError: learning_rate must be above 0, not 0.0
    """
    given: object = value
    if not isinstance(given, Real):
        raise ConfigurationError(f"{name} must be a number, not {value!r}")
    try:
        is_finite = math.isfinite(value)
    except OverflowError:  # a whole number of some hundred digits
        raise ConfigurationError(f"{name} is too large; give fewer digits") from None
    if is_finite and low <= value <= high and not (exclude_low and value == low):
        return
    lower = f"above {low:g}" if exclude_low else f"at least {low:g}"
    if math.isinf(high):
        bounds = lower
    else:
        bounds = f"{lower} and at most {high:g}" if exclude_low else f"from {low:g} to {high:g}"
    raise ConfigurationError(f"{name} must be {bounds}, not {value!r}")


def require_whole(name: str, value: int, low: int) -> None:
    """Raise `ConfigurationError` unless `value` is a whole number of at least `low`.

    Examples:
        >>> require_whole("seeds", 5, 1)
        >>> require_whole("seeds", 2.5, 1)
        Traceback (most recent call last):
        ...
        lossforge.errors.ConfigurationError: seeds must be a whole number, not 2.5
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    require(whole, f"{name} must be a whole number, not {value!r}")
    require_in_range(name, value, low)
