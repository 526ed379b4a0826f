"""What a search lowers in the place of a metric."""

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.losses.metric_objective import MetricObjective
from lossforge.losses.resolve import objective
from lossforge.tasks.kinds import Classification
from lossforge.tasks.metrics import Metric, OwnMetric, as_metric

LABELS = torch.tensor([0, 0, 0, 1])


def test_it_is_the_metric_s_own_form_in_the_precision_of_the_outputs():
    metric = as_metric("f1", "classification")
    outputs = torch.randn(4, 1)
    found = MetricObjective(metric)(outputs, LABELS)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, metric.differentiable_cost(outputs, LABELS).float())


def test_its_name_stands_for_the_metric_of_the_task():
    given = as_metric("auroc", "classification")
    assert str(objective("metric", "classification", given)) == "smooth auroc"
    assert str(objective("metric", "regression")) == "smooth mse"


def test_it_is_of_all_rows_together():
    loss = MetricObjective(as_metric("f1", "classification"))
    assert not loss.is_separable
    with pytest.raises(ConfigurationError, match="all rows together"):
        loss.per_row(torch.zeros(4, 1), LABELS)
    with pytest.raises(ConfigurationError, match="no sample_weight"):
        loss(torch.zeros(4, 1), LABELS, torch.ones(4))


def test_a_metric_without_gradients_is_refused():
    outputs = torch.randn(4, 2, requires_grad=True)
    own = as_metric(OwnMetric(lambda found, _: found.mean(), maximize=True), "classification")
    with pytest.raises(ConfigurationError, match="without gradients; name a loss as task_loss"):
        MetricObjective(own)(outputs, LABELS)

    class Decisions(Metric):
        name = "decisions"

        def values(self, outputs, targets):
            return (outputs.argmax(-1) == targets).double().mean(-1)

    with pytest.raises(ConfigurationError, match="decisions has no form with gradients"):
        MetricObjective(Decisions(Classification()))(outputs, LABELS)
