"""What few-shot learners share: rows are embedded as one batch, gradients are added up."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lossforge.methods.npbml.base import DirectLearner, embed_both
from methods.npbml.few_shot_cases import drawn, vectors_task


class Linear(DirectLearner):
    """Its outputs are its features of the query rows."""

    def outputs(self, episode):
        return embed_both(self.encoder, episode)[1]


@pytest.fixture
def learner() -> Linear:
    return Linear(nn.Linear(5, 3).double())


def test_support_and_query_rows_are_embedded_as_one_batch():
    episode = drawn(vectors_task(), 0)
    centered = nn.BatchNorm1d(5, affine=False).double()
    support, query = embed_both(centered, episode)
    assert (len(support), len(query)) == (len(episode.support), len(episode.query))
    torch.testing.assert_close(torch.cat([support, query]).mean(0), torch.zeros(5).double())
    assert support.mean(0).abs().max() > 0.01  # not a batch of its own


def test_a_share_of_the_gradient_of_the_query_loss_is_added(learner):
    episode = drawn(vectors_task(), 0)
    loss = F.cross_entropy(learner.encoder(episode.query), episode.query_targets)
    expected = torch.autograd.grad(loss, list(learner.parameters()))
    for _ in range(2):
        assert learner.accumulate(episode, "second", 0.25) == pytest.approx(loss.item())
    for weight, gradient in zip(learner.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.grad, 0.5 * gradient)


def test_predictions_are_detached_outputs(learner):
    episode = drawn(vectors_task(), 0)
    found = learner.predict(episode)
    assert not found.requires_grad
    assert torch.equal(found, learner.outputs(episode))
