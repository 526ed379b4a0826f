"""MAML++: a rate for each step and layer, and the outer loss of every step."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.methods.npbml.maml_plus_plus import LayerRates, step_weights
from lossforge.training.hypergradient.unroll import Point
from lossforge.training.optimizers import SGD
from methods.npbml.few_shot_cases import fresh, made


def test_equal_rates_are_a_step_of_the_optimizer(generator):
    sgd = SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.3)
    theta, gradients = ([torch.randn(n, generator=generator) for n in (4, 2)] for _ in range(2))
    rule, begun = LayerRates(2, 2, 0.1), Point(theta, sgd.init(theta))
    found, expected = begun, begun
    for index in range(2):
        found = rule(found, gradients, index, sgd)
        expected = Point(*sgd.step(expected.parameters, gradients, expected.state))
    for a, b in zip(found.tensors(), expected.tensors(), strict=True):
        torch.testing.assert_close(a, b)


def test_it_begins_as_maml():
    (learner, episode), (maml, _) = fresh("maml_plus_plus"), fresh("maml")
    for found, expected in zip(
        learner.inner_loop(episode).parameters, maml.inner_loop(episode).parameters, strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_maml_plus_plus_has_a_rate_for_each_step_and_layer():
    learner, episode = made("maml_plus_plus")
    assert learner.rule.rates.shape == (2, len(learner.begin(episode).parameters))
    with torch.no_grad():
        learner.rule.rates[1, 0] = 0
    first, second, third = (point.parameters for point in learner.path(episode))
    assert not torch.equal(first[0], second[0])
    assert torch.equal(second[0], third[0])
    assert not torch.equal(second[1], third[1])


@given(st.integers(1, 12), st.floats(0, 1))
def test_the_weights_of_the_steps_outer_losses_sum_to_one(steps, progress):
    weights = step_weights(steps, progress)
    assert sum(weights) == pytest.approx(1)
    assert all(0 <= weight <= weights[-1] + 1e-12 for weight in weights)
    assert len(set(weights[:-1])) <= 1


@pytest.mark.parametrize("order", ["second", "recompute"])
@pytest.mark.parametrize("progress", [0.0, 0.1])
def test_the_meta_gradient_of_every_steps_loss_is_exact(order, progress):
    learner, episode = made("maml_plus_plus")

    def value() -> float:
        points = learner.path(episode, "second")
        return learner.outer_loss(points, episode, progress).item()

    assert learner.accumulate(episode, order, 1.0, progress) == pytest.approx(value())
    for name, weight in learner.named_parameters():
        along, values = torch.randn_like(weight), []
        for moved in (1e-6, -2e-6):
            with torch.no_grad():
                weight.add_(moved * along)
            values.append(value())
        with torch.no_grad():
            weight.add_(1e-6 * along)
        expected = (values[0] - values[1]) / 2e-6
        assert float((weight.grad * along).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-8), (
            name
        )


def test_every_steps_loss_counts_alike_at_first_and_the_last_alone_in_the_end():
    learner, episode = made("maml_plus_plus")
    points = learner.path(episode)
    losses = [learner.query_loss(p.parameters, episode).item() for p in points[1:]]
    assert learner.outer_loss(points, episode, 0.0).item() == pytest.approx(sum(losses) / 2)
    assert learner.outer_loss(points, episode, 1.0).item() == pytest.approx(losses[-1])
    maml, _ = made("maml")
    last = maml.query_loss(maml.inner_loop(episode).parameters, episode).item()
    assert maml.outer_loss(maml.path(episode), episode, 0.0).item() == pytest.approx(last)
