"""ALFA: rates and decays follow from the task, and begin as those of MAML."""

import torch

from lossforge.methods.npbml.alfa import ALFA
from lossforge.training.hypergradient.unroll import Point
from lossforge.training.optimizers import SGD
from methods.npbml.few_shot_cases import drawn, fresh, made, vectors_task


def test_alfa_without_momentum_begins_as_maml():
    (learner, episode), (maml, _) = (fresh(n, inner_momentum=0.0) for n in ("alfa", "maml"))
    for found, expected in zip(
        learner.inner_loop(episode).parameters, maml.inner_loop(episode).parameters, strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_rates_of_alfa_follow_from_the_task():
    learner, episode = made("alfa", inner_momentum=0.0)
    steps = []
    for each in (episode, drawn(vectors_task(), 7)):
        begun = learner.path(each)[1]  # where a shared head no longer gives one gradient to all
        value = learner.inner_loss(begun.parameters, each)
        gradients = torch.autograd.grad(value, begun.parameters)
        moved = learner.rule(begun, gradients, 0, learner.optimizer).parameters
        flat = [t.detach().flatten() for t in (moved[0], begun.parameters[0], gradients[0])]
        # moved = keep·θ - rate·g: two numbers, found from all of a layer's.
        found = torch.linalg.lstsq(torch.stack(flat[1:], 1), flat[0][:, None]).solution
        torch.testing.assert_close(torch.stack(flat[1:], 1) @ found, flat[0][:, None])
        steps.append(found)
    assert (steps[0] - steps[1]).abs().max() > 1e-7


def test_a_step_is_that_of_the_equations(generator):
    sgd = SGD(0.2, weight_decay=0.5)
    rule = ALFA(2, 3, sgd).double()
    with torch.no_grad():
        for weight in rule.parameters():
            weight.add_(torch.rand(weight.shape, generator=generator))
    theta, gradients = (
        [torch.randn(n, generator=generator).double() for n in (3, 1)] for _ in range(2)
    )
    moved = rule(Point(theta, sgd.init(theta)), gradients, 1, sgd).parameters
    tau = torch.stack([each.mean() for each in theta + gradients])
    wide = rule.last.weight @ (rule.hidden.weight @ tau + rule.hidden.bias).clamp(min=0)
    factors = wide + rule.last.bias
    for index, found in enumerate(moved):
        rate = rule.rates[1, index] * factors[index]
        keep = 1 - rule.decays[1, index] * factors[2 + index]
        torch.testing.assert_close(found, keep * theta[index] - rate * gradients[index])


def test_it_begins_with_the_optimizers_rate_and_decay():
    rule = ALFA(2, 3, SGD(0.2, weight_decay=0.5))
    torch.testing.assert_close(rule.rates, torch.full((3, 2), 0.2))
    torch.testing.assert_close(rule.decays, torch.full((3, 2), 0.1))
