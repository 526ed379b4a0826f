"""What results say of their metric: its name and its direction, and how values become costs."""

import math
from collections.abc import Sequence

from lossforge.methods import State
from lossforge.tasks.metrics import Metric


def metric_facts(metric: Metric) -> State:
    """Return what ``result.json`` holds of a metric; the direction only where more is better.

    Examples:
        >>> from lossforge.tasks.metrics import as_metric
        >>> metric_facts(as_metric("auroc", "classification"))
        {'metric': 'auroc', 'maximized': True}
        >>> metric_facts(as_metric(None, "regression"))
        {'metric': 'mse'}
    """
    return {"metric": metric.name} | ({"maximized": True} if metric.is_maximized else {})


def is_maximized(result: State) -> bool:
    """Tell whether more of a result's metric is better."""
    return bool(result.get("maximized", False))


def direction(result: State) -> str:
    """Return which values of a result's metric are better."""
    return "higher is better" if is_maximized(result) else "lower is better"


def cost(result: State, value: float | None) -> float:
    """Return what is minimized, of a value in a result; infinity where a run diverged.

    Examples:
        >>> cost({"maximized": True}, 0.75), cost({}, 0.75), cost({}, None)
        (0.25, 0.75, inf)
    """
    if value is None:
        return math.inf
    return 1 - value if is_maximized(result) else value


def costs(result: State, values: Sequence[float | None]) -> list[float]:
    """Return what is minimized, of values in a result."""
    return [cost(result, value) for value in values]
