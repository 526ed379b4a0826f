"""MeTAL: an inner loss that adapts to the task and differs by the step."""

from dataclasses import replace

import torch
from torch.nn import functional as F

from lossforge.methods.npbml.metal import AdaptiveTerm, TaskAdaptiveLoss, standardized
from lossforge.tasks.kinds import as_kind
from methods.npbml.few_shot_cases import made


def test_metals_loss_adapts_to_the_task_and_differs_by_step():
    learner, episode = made("metal")
    weights = learner.begin(episode).parameters
    one, two = (learner.inner_loss(weights, episode, index) for index in (0, 1))
    assert not torch.allclose(one, two)
    with torch.no_grad():
        for term in (*learner.loss.support, *learner.loss.query):
            term.strengths.zero_()
    assert not torch.allclose(learner.inner_loss(weights, episode, 0), one)


def test_metal_sees_query_inputs_without_labels():
    learner, episode = made("metal")
    other = replace(episode, query=torch.randn_like(episode.query))
    weights = learner.begin(episode).parameters
    assert not torch.allclose(
        learner.inner_loss(weights, episode), learner.inner_loss(weights, other)
    )


def test_a_term_begins_as_a_plain_network_and_its_adapter_moves_whole_tensors(generator):
    term = AdaptiveTerm(4, 3).double()
    rows = torch.randn(5, 4, generator=generator).double()
    state = torch.randn(3, generator=generator).double()
    plain = term.last(F.relu(term.hidden(rows))).mean()
    torch.testing.assert_close(term(rows, state), plain)
    with torch.no_grad():
        term.strengths[3] = 1.0  # the scale of the last bias, which begins at 0
        torch.testing.assert_close(term(rows, state), plain)
        term.strengths[7] = 2.0  # its shift
        expected = plain + 2 * term.adapter(state)[7]
        torch.testing.assert_close(term(rows, state), expected)


def test_in_regression_only_support_rows_count(generator):
    loss = TaskAdaptiveLoss(as_kind("regression"), 1, tensors=1, steps=2)
    assert not loss.needs_query
    assert len(loss.query) == 0
    outputs, targets = (torch.randn(6, 1, generator=generator) for _ in range(2))
    weights = {"weight": torch.ones(2)}
    with torch.no_grad():
        loss.support[0].last.weight.zero_()  # a term of 0
    found = loss(outputs, targets, None, None, weights)
    torch.testing.assert_close(found, (outputs - targets).square().mean())


def test_standardized_numbers_have_mean_0_and_deviation_1(generator):
    seen = standardized(7 + 3 * torch.randn(4, 5, generator=generator).double())
    torch.testing.assert_close(
        torch.stack([seen.mean(), seen.std()]), torch.tensor([0.0, 1.0]).double()
    )
