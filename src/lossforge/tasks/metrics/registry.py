"""Metrics by name, and which kinds of tasks they are for."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lossforge.errors import ConfigurationError, unknown_name
from lossforge.tasks.kinds import Kind, as_kind
from lossforge.tasks.metrics.decisions import F1, BalancedError, MeanIoU
from lossforge.tasks.metrics.given import GivenMetric, OwnMetric
from lossforge.tasks.metrics.means import Accuracy, KindMetric, LogLoss, MeanAbsoluteError
from lossforge.tasks.metrics.metric import Metric
from lossforge.tasks.metrics.probabilities import AreaUnderROC, CalibrationError
from lossforge.tasks.metrics.values import ExplainedVariance

MetricLike = str | OwnMetric | Metric | Callable[..., Any]
"""a metric's name, a function with its direction, or a metric of torchmetrics"""

Make = Callable[[Kind], Metric]

OF_CLASSES: Mapping[str, Make] = MappingProxyType(
    {
        "error_rate": KindMetric,
        **{
            metric.name: metric
            for metric in (
                *(Accuracy, BalancedError, F1, AreaUnderROC),
                *(LogLoss, CalibrationError, MeanIoU),
            )
        },
    }
)
"""metrics of kinds whose rows are classified; a line here registers one"""

OF_VALUES: Mapping[str, Make] = MappingProxyType(
    {"mse": KindMetric, MeanAbsoluteError.name: MeanAbsoluteError, "r2": ExplainedVariance}
)
"""metrics of kinds whose rows are values"""


def metrics_of(kind: Kind) -> Mapping[str, Make]:
    """Return the metrics of a kind by name, its own first."""
    return OF_CLASSES if kind.predicts_probabilities else OF_VALUES


def metric_names() -> tuple[str, ...]:
    """Return the names of all metrics."""
    return (*OF_CLASSES, *OF_VALUES)


def as_metric(metric: MetricLike | None, kind: Kind | str) -> Metric:
    """Return a metric for tasks of a kind.

    Args:
        metric: a name, a function of outputs and targets with its direction (`OwnMetric`), or a
            metric of ``torchmetrics``; None for the kind's own.
        kind: of the tasks.

    Raises:
        UnknownNameError: no metric has that name.
        ConfigurationError: it is none, is for another kind, or its direction is not known.

    Examples:
        >>> as_metric("f1", "classification").direction
        'higher is better'
        >>> as_metric("r2", "classification")
        Traceback (most recent call last):
        ...
        lossforge.errors.ConfigurationError: r2 is no metric for classification; those are ...
    """
    kind = as_kind(kind)
    if metric is None:
        return KindMetric(kind)
    if isinstance(metric, Metric):
        if metric.kind.name != kind.name:
            raise ConfigurationError(
                f"the metric {metric.name} is for {metric.kind}, not {kind}; give another"
            )
        return metric
    if isinstance(metric, str):
        own = metrics_of(kind)
        if metric in own:
            return own[metric](kind)
        if metric in metric_names():
            raise ConfigurationError(
                f"{metric} is no metric for {kind}; those are {', '.join(own)}"
            )
        raise unknown_name("metric", metric, own)
    return GivenMetric(kind, metric if isinstance(metric, OwnMetric) else OwnMetric(metric))
