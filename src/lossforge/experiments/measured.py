"""What results say of their metric: its name and its direction, and how values become costs."""

from collections.abc import Sequence

from lossforge.methods import State
from lossforge.report.facts import cost_of
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


def costs(result: State, values: Sequence[float | None]) -> list[float]:
    """Return what is minimized, of values in a result."""
    return [cost_of(result, value) for value in values]
