"""What few-shot learners share: rows are embedded as one batch, gradients are added up."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lossforge.errors import DataError
from lossforge.methods.npbml import VARIANTS
from lossforge.methods.npbml.base import DirectLearner, embed_both
from methods.npbml.few_shot_cases import drawn, made, vectors_task


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


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_new_task_is_predicted_without_its_query_labels(variant):
    learner, episode = made(variant)
    found = learner.adapt(episode.support, episode.support_targets).predict(episode.query)
    poisoned = replace(episode, query_targets=torch.full_like(episode.query_targets, -1))
    assert torch.equal(found, learner.predict(poisoned))
    assert found.shape == (len(episode.query), 3)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0, 0, 1, 1, 2], "6 rows and 5 targets"),
        ([0, 0, 1, 1, 3, 3], "from 0 to 2, and give each a row: the learner was meta-trained for"),
        ([0, 0, 0, 1, 1, 1], "from 0 to 2"),
    ],
)
def test_a_support_set_that_does_not_fit_is_told(labels, says):
    learner, episode = made("maml")
    with pytest.raises(DataError, match=says):
        learner.adapt(episode.support, torch.tensor(labels))


def test_prototypes_take_any_number_of_classes():
    learner, episode = made("protonet")
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    assert learner.adapt(episode.support, labels).predict(episode.query).shape[1] == 2
    with pytest.raises(DataError, match="from 0 to 1, and give each a row"):
        learner.adapt(episode.support, 2 * labels)
