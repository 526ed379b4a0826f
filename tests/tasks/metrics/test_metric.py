"""Metrics: values and costs, in parts and stacked, for every metric of every kind."""

import math
import pickle

import pytest
import torch

from lossforge.tasks.kinds import KINDS, Classification
from lossforge.tasks.metrics import as_metric, metrics_of
from lossforge.tasks.metrics.metric import joined

EVERY = [
    pytest.param(name, make(), id=f"{name}-{make.name}")
    for make in KINDS.values()
    for name in metrics_of(make())
]
every = pytest.mark.parametrize(("name", "kind"), EVERY)


def predictions(kind, shape, seed=0, networks=3):
    draw = torch.Generator().manual_seed(seed)
    outputs = torch.randn(networks, *shape, generator=draw, dtype=torch.float64)
    if kind.name == "classification":
        return outputs, torch.randint(max(2, shape[1]), (shape[0], *shape[2:]), generator=draw)
    if kind.name == "multilabel":
        return outputs, torch.randint(2, shape, generator=draw)
    return outputs, torch.randn(shape, generator=draw, dtype=torch.float64)


@every
@pytest.mark.parametrize("shape", [(30, 3), (30, 1), (30, 2), (12, 3, 5)], ids=str)
def test_a_stack_is_measured_as_each_network_is(name, kind, shape):
    metric = as_metric(name, kind)
    outputs, targets = predictions(kind, shape)
    costs = metric.costs([(outputs, targets)])
    assert costs.shape == (3,)
    assert bool(costs.isfinite().all())
    for one, cost in zip(outputs, costs, strict=True):
        assert torch.equal(metric.costs([(one[None], targets)])[0], cost)
    assert metric.smooth_costs(outputs, targets).shape == (3,)


@every
def test_a_split_may_come_in_parts(name, kind):
    metric = as_metric(name, kind)
    outputs, targets = predictions(kind, (30, 3))
    parts = list(zip(outputs.split(11, 1), targets.split(11), strict=True))
    torch.testing.assert_close(metric.costs(parts), metric.costs([(outputs, targets)]))
    assert torch.equal(joined(parts)[0], outputs)


@every
def test_what_is_maximized_has_a_cost(name, kind):
    metric = as_metric(name, kind)
    outputs, targets = predictions(kind, (30, 3))
    value, cost = metric.values(outputs, targets)[0], metric.costs([(outputs, targets)])[0]
    assert metric.shown(float(cost)) == pytest.approx(float(value))
    assert metric.direction == ("higher is better" if metric.is_maximized else "lower is better")
    assert not math.isfinite(metric.shown(math.inf))


@every
def test_better_predictions_cost_less(name, kind):
    outputs, targets = predictions(kind, (40, 3))
    right = targets.double()
    if kind.name == "classification":
        right = torch.nn.functional.one_hot(targets, 3).double()
    if kind.predicts_probabilities:
        right = 20 * (right - 0.5)
    metric = as_metric(name, kind)
    best, rest = right[None], outputs[:1]
    assert metric.costs([(best, targets)]) < metric.costs([(rest, targets)])
    assert metric.smooth_costs(best, targets) < metric.smooth_costs(rest, targets)


@pytest.mark.parametrize(
    ("name", "kind"), [each for each in EVERY if each.values[0] not in ("error_rate", "accuracy")]
)
def test_networks_that_diverged_have_no_metric(name, kind):
    metric = as_metric(name, kind)
    outputs, targets = predictions(kind, (30, 3))
    outputs[1] = torch.nan
    assert metric.costs([(outputs, targets)]).isfinite().tolist() == [True, False, True]


@every
def test_metrics_go_to_other_processes(name, kind):
    metric = as_metric(name, kind)
    again = pickle.loads(pickle.dumps(metric))
    outputs, targets = predictions(kind, (20, 3))
    assert again.name == metric.name
    assert torch.equal(again.values(outputs, targets), metric.values(outputs, targets))


@pytest.mark.parametrize("name", metrics_of(Classification()))
def test_ignored_rows_are_in_no_metric(name):
    metric = as_metric(name, Classification())
    outputs, labels = predictions(Classification(), (20, 3))
    twice = torch.cat([outputs, -outputs], 1)
    padded = torch.cat([labels, torch.full_like(labels, -100)])
    for measured in (metric.costs([(twice, padded)]), metric.smooth_costs(twice, padded)):
        assert measured.shape == (3,)
    torch.testing.assert_close(metric.costs([(twice, padded)]), metric.costs([(outputs, labels)]))


@every
@pytest.mark.parametrize("shape", [(12, 3), (12, 1), (5, 3, 2)], ids=str)
def test_the_form_with_gradients_has_those_of_differences(name, kind, shape):
    metric = as_metric(name, kind)
    (outputs, *_), targets = predictions(kind, shape)
    leaf = outputs.clone().requires_grad_()
    cost = metric.differentiable_cost(leaf, targets)
    (slope,) = torch.autograd.grad(cost, leaf)
    assert bool((slope != 0).any())
    step = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ends = [metric.differentiable_cost(outputs + h * step, targets) for h in (1e-5, -1e-5)]
    difference = float(ends[0] - ends[1]) / 2e-5
    assert float((slope * step).sum()) == pytest.approx(difference, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("name", ["auroc", "f1", "balanced_error", "miou"])
def test_the_form_with_gradients_leads_to_a_better_metric(name):
    draw = torch.Generator().manual_seed(0)
    targets = (torch.rand(200, generator=draw) < 0.1).long()
    outputs = torch.randn(200, 1, generator=draw, dtype=torch.float64).requires_grad_()
    metric = as_metric(name, "classification")
    first = float(metric.costs([(outputs[None].detach(), targets)]))
    adam = torch.optim.Adam([outputs], 0.05)
    for _ in range(60):
        adam.zero_grad()
        metric.differentiable_cost(outputs, targets).backward()
        adam.step()
    assert float(metric.costs([(outputs[None].detach(), targets)])) < first / 2


def test_without_counterexamples_an_area_has_no_slope():
    outputs = torch.randn(4, 2, requires_grad=True)
    cost = as_metric("auroc", "classification").differentiable_cost(outputs, torch.zeros(4).long())
    assert torch.equal(torch.autograd.grad(cost, outputs)[0], torch.zeros(4, 2))
