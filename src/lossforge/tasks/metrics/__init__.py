"""Metrics: what a search optimizes, and what tables show."""

from lossforge.tasks.metrics.given import OwnMetric as OwnMetric
from lossforge.tasks.metrics.metric import Metric as Metric
from lossforge.tasks.metrics.metric import RowMetric as RowMetric
from lossforge.tasks.metrics.registry import MetricLike as MetricLike
from lossforge.tasks.metrics.registry import as_metric as as_metric
from lossforge.tasks.metrics.registry import metric_names as metric_names
from lossforge.tasks.metrics.registry import metrics_of as metrics_of
