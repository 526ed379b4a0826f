"""Metrics by name."""

import pytest

from lossforge.errors import ConfigurationError, UnknownNameError
from lossforge.tasks.kinds import KINDS
from lossforge.tasks.metrics import as_metric, metric_names, metrics_of


@pytest.mark.parametrize("kind", [make() for make in KINDS.values()], ids=str)
def test_every_kind_has_its_metrics_and_its_own_is_the_first(kind):
    names = list(metrics_of(kind))
    assert names[0] == kind.metric
    assert [as_metric(name, kind).name for name in names] == names
    assert set(names) < set(metric_names())
    assert as_metric(as_metric(names[1], kind), kind).name == names[1]


def test_other_names_are_refused():
    with pytest.raises(UnknownNameError, match="no metric is named 'f2'; known: accuracy, auroc"):
        as_metric("f2", "classification")
    with pytest.raises(ConfigurationError, match="mse is no metric for classification; those are"):
        as_metric("mse", "classification")
    with pytest.raises(ConfigurationError, match="the metric f1 is for classification, not regr"):
        as_metric(as_metric("f1", "classification"), "regression")
