from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.methods.npbml.protonet import ProtoNet
from lossforge.tasks.episodes import Episode, EpisodeSpec
from lossforge.tasks.few_shot_sets import load_few_shot


@pytest.fixture
def episode() -> Episode:
    draw = torch.Generator().manual_seed(2)
    return load_few_shot("clusters").pools["train"].draw(EpisodeSpec(4, 3, 5), draw)


@pytest.fixture
def learner(episode) -> ProtoNet:
    torch.manual_seed(0)
    return ProtoNet(nn.Sequential(nn.Linear(episode.support.shape[1], 6), nn.Tanh()))


def by_definition(learner: ProtoNet, episode: Episode) -> Tensor:
    support, query = learner.encoder(episode.support), learner.encoder(episode.query)
    labels = episode.support_targets
    means = torch.stack([support[labels == c].mean(0) for c in range(int(labels.max()) + 1)])
    return torch.stack([-((row - means) ** 2).sum(1) for row in query])


def test_predictions_are_minus_squared_distances_to_class_means(learner, episode):
    torch.testing.assert_close(learner.predict(episode), by_definition(learner, episode))


def test_the_order_of_the_support_rows_is_of_no_effect(learner, episode):
    order = torch.randperm(len(episode.support))
    shuffled = replace(
        episode,
        support=episode.support[order],
        support_targets=episode.support_targets[order],
    )
    torch.testing.assert_close(learner.predict(shuffled), learner.predict(episode))


def test_gradients_of_shares_add_up(learner, episode):
    value = F.cross_entropy(by_definition(learner, episode), episode.query_targets)
    expected = torch.autograd.grad(value, list(learner.parameters()))
    found = [learner.accumulate(episode, "second", share) for share in (0.25, 0.75)]
    assert found == pytest.approx([value.item()] * 2)
    for theta, g in zip(learner.parameters(), expected, strict=True):
        torch.testing.assert_close(theta.grad, g)
